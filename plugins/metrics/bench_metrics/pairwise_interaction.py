"""Interaction of pairs of cells inside a perturbation (Wang et al., 2021; arXiv:2010.04055)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from bench_core.grid import grid_fault
from bench_core.statistics import mean

from .coalitions.image_games import perturbation_game
from .coalitions.shapley import ENUMERABLE, pairwise_interactions, sampled_interactions
from .shared.sampling_error import sampling_error

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class PairwiseInteraction:
    """Interaction `I_ij` of pairs of cells (eqs. 3 and 26): every pair by enumeration, or random pairs by sampling.

    Scores: `mean`, the mean of `I_ij`; `strength`, that of `|I_ij|`; `sampling_error`, the standard error of `mean` due
    to sampling. Rows: `interaction` and `standard_error`, [n, pairs].

    Attributes:
        grid: Cells per side.
        pairs: Random pairs per image, or 0 to enumerate all (grid of at most 4, 2^(grid^2) forward passes).
        contexts: Random contexts per sampled pair, 4 forward passes each.
    """

    grid: Annotated[int, Ge(2)] = 4
    pairs: Annotated[int, Ge(0)] = 0
    contexts: Annotated[int, Ge(2)] = 16
    scores: ClassVar = ("mean", "strength", "sampling_error")
    rows: ClassVar = ("interaction", "standard_error")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if not self.pairs and self.grid**2 > ENUMERABLE:
            return f"pairs: found 0, but {self.grid**2} cells cannot be enumerated (try a number of pairs to sample)"
        return grid_fault(self.grid, shape)

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 4 * self.pairs * self.contexts if self.pairs else 2 ** (self.grid**2)

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        game = perturbation_game(source, clean, adversarial, self.grid)
        if not self.pairs:
            first, second = torch.triu_indices(game.players, game.players, 1)
            exact = pairwise_interactions(game)[:, first, second]
            return {"interaction": exact, "standard_error": torch.zeros_like(exact)}
        pairs = rng.uniform("pairs", 0, (self.pairs, game.players)).argsort(-1)[..., :2]
        estimate, error = sampled_interactions(game, pairs, self.contexts, rng)
        return {"interaction": estimate, "standard_error": error}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("mean", rows["interaction"].mean(1))
        yield mean("strength", np.abs(rows["interaction"]).mean(1))
        yield sampling_error(np.sqrt(np.square(rows["standard_error"]).mean(1) / rows["standard_error"].shape[1]))


METRIC = PairwiseInteraction
EXAMPLES = [{"grid": 2}, {"pairs": 3, "contexts": 4}]
