"""Interaction of neighbouring cells inside a perturbation (Wang et al., 2021; arXiv:2010.04055, figures 2 and 8)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from bench_core.grid import grid_fault
from bench_core.statistics import mean

from .coalitions.image_games import perturbation_game
from .coalitions.pairs import neighbours
from .coalitions.shapley import sampled_interactions
from .shared.sampling_error import sampling_error

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class NeighbourInteraction:
    """Interaction of each cell with the cells that touch it: the maps of figures 2 and 8.

    Scores: `mean`, the mean of `I_ij` over neighbouring pairs, and `sampling_error`, its standard error due to
    sampling. Rows: `map` [n, grid^2], which is `E_{j in N_i}[I_ij]`, and its `standard_error`.

    Attributes:
        grid: Cells per side.
        contexts: Random contexts per pair of touching cells, 4 forward passes each.
    """

    grid: Annotated[int, Ge(2)] = 16
    contexts: Annotated[int, Ge(2)] = 8
    scores: ClassVar = ("mean", "sampling_error")
    rows: ClassVar = ("map", "standard_error")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return grid_fault(self.grid, shape)

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 4 * self.contexts * (4 * self.grid**2 - 6 * self.grid + 2)

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        game = perturbation_game(source, clean, adversarial, self.grid)
        pairs = neighbours(self.grid)
        estimate, error = (found.cpu() for found in sampled_interactions(game, pairs[None], self.contexts, rng))
        touches = torch.zeros(len(pairs), game.players).scatter(1, pairs, 1.0)
        count = touches.sum(0)
        return {
            "map": estimate @ touches / count,
            "standard_error": (error**2 @ touches).sqrt() / count,
            "mean": estimate.mean(1),
            "mean_error": (error**2).mean(1).sqrt() / math.sqrt(len(pairs)),
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("mean", rows["mean"])
        yield sampling_error(rows["mean_error"])


METRIC = NeighbourInteraction
EXAMPLES = [{"grid": 4, "contexts": 2}]
