"""Interaction inside a perturbation, on the source network (Wang et al., 2021; arXiv:2010.04055)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from bench_core.grid import grid_fault
from bench_core.logits import margin
from bench_core.statistics import mean
from bench_core.types import Score

from .coalitions.games import CellGame
from .coalitions.shapley import ENUMERABLE, pairwise, sampled_pairs, with_all_others

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Streams
else:
    from bench_core.lazy import torch

Among = Literal["all", "neighbours"]


def perturbation_game(source: Model, clean: Examples, adversarial: Tensor, grid: int) -> CellGame:
    """Make the game of `v(S) = max_{y' != y} h_y' - h_y` at the image perturbed on the cells of S only (sec. 3.1)."""
    return CellGame(source, adversarial, clean.images, grid, margin, clean.labels)


def sampling_error(errors: np.ndarray) -> Score:
    """Make the score of the standard error that independent errors of each image [n] leave in their mean."""
    value = math.sqrt(float(np.sum(np.square(errors, dtype=np.float64)))) / max(1, len(errors))
    return Score("sampling_error", value, math.nan, math.nan, len(errors))


@dataclass(frozen=True)
class Interaction:
    """Mean interaction inside the perturbation on the source, exact or from sampled cells (eqs. 4 and 28).

    `mean` is `E_ij[I_ij] = E_i[v(all) - v(all without i) - v({i}) + v(empty)] / (grid^2 - 1)`; `unscaled` is the same
    without the factor, which is the size of the values that table 4 prints. With `cells` = 0 all cells are taken
    (2 grid^2 + 2 forwards), else so many distinct random ones for each image; `sampling_error` is the standard error
    that this leaves in `unscaled`. The rows `per_cell` are `sum_b I_ab`.
    """

    grid: Annotated[int, Ge(2)] = 16
    cells: Annotated[int, Ge(0)] = 0
    scores: ClassVar = ("mean", "unscaled", "sampling_error")
    rows: ClassVar = ("per_cell",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        if self.cells == 1 or self.cells > self.grid**2:
            return f"cells: found {self.cells} (would do: 0 for all, or 2 to {self.grid**2})"
        return grid_fault(self.grid, shape)

    @property
    def forwards(self) -> float:
        """Give the passes of one image."""
        return 2 * (self.cells or self.grid**2) + 2

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        game = perturbation_game(source, clean, adversarial, self.grid)
        chosen = None
        if self.cells:
            inside = rng.subsets("interaction cells", 0, 1, game.players, self.cells)[:, 0]
            chosen = inside.nonzero()[:, 1].view(len(inside), self.cells)
        return {"per_cell": with_all_others(game, chosen)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        per_cell = np.asarray(rows["per_cell"], dtype=np.float64)
        unscaled = per_cell.mean(1)
        yield mean("mean", unscaled / (self.grid**2 - 1))
        yield mean("unscaled", unscaled)
        left_out = 1 - per_cell.shape[1] / self.grid**2
        variance = per_cell.var(1, ddof=1) / per_cell.shape[1] * left_out
        yield sampling_error(np.sqrt(variance))


@dataclass(frozen=True)
class PairwiseInteraction:
    """Interaction `I_ij` of pairs of cells (eqs. 3 and 26): every pair by enumeration, or random pairs by sampling.

    With `pairs` = 0 a grid of up to 4 x 4 is enumerated (2^(grid^2) forwards). Else each image has `pairs` random
    pairs, each estimated from `contexts` random contexts (4 forwards each). Rows: `interaction` and `standard_error`,
    [n, pairs].
    """

    grid: Annotated[int, Ge(2)] = 4
    pairs: Annotated[int, Ge(0)] = 0
    contexts: Annotated[int, Ge(2)] = 16
    scores: ClassVar = ("mean", "strength", "sampling_error")
    rows: ClassVar = ("interaction", "standard_error")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        if not self.pairs and self.grid**2 > ENUMERABLE:
            return f"pairs: found 0, but {self.grid**2} cells cannot be enumerated (would do: a number to sample)"
        return grid_fault(self.grid, shape)

    @property
    def forwards(self) -> float:
        """Give the passes of one image."""
        return 4 * self.pairs * self.contexts or 2 ** (self.grid**2)

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        game = perturbation_game(source, clean, adversarial, self.grid)
        if not self.pairs:
            first, second = torch.triu_indices(game.players, game.players, 1)
            exact = pairwise(game)[:, first, second]
            return {"interaction": exact, "standard_error": torch.zeros_like(exact)}
        members = rng.uniform("pairs", 0, (self.pairs, game.players)).argsort(-1)[..., :2]
        estimate, error = sampled_pairs(game, members, self.contexts, rng)
        return {"interaction": estimate, "standard_error": error}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("mean", rows["interaction"].mean(1))
        yield mean("strength", np.abs(rows["interaction"]).mean(1))
        yield sampling_error(np.sqrt(np.square(rows["standard_error"]).mean(1) / rows["standard_error"].shape[1]))


def neighbours(grid: int) -> Tensor:
    """List the pairs of cells that touch, at a side or a corner, int [pairs, 2]; 4 g^2 - 6 g + 2, row by row."""
    cell = torch.arange(grid**2).view(grid, grid)
    pairs = [
        (cell[:, :-1], cell[:, 1:]),
        (cell[:-1], cell[1:]),
        (cell[:-1, :-1], cell[1:, 1:]),
        (cell[:-1, 1:], cell[1:, :-1]),
    ]
    found = torch.cat([torch.stack([one.flatten(), other.flatten()], dim=1) for one, other in pairs])
    return found[found.amin(1).argsort(stable=True)]


def pairs_among(among: Among, grid: int) -> Tensor | None:
    """List the pairs of cells to draw from, int [pairs, 2]; None stands for all there are."""
    return neighbours(grid) if among == "neighbours" else None


@dataclass(frozen=True)
class NeighbourInteraction:
    """Interaction of each cell with the cells round it: the maps of figures 2 and 8.

    The row `map` [n, grid^2] holds `E_{j in N_i}[I_ij]`, its standard error is in `standard_error`. Every pair of
    touching cells is estimated from `contexts` random contexts, 4 forwards each.
    """

    grid: Annotated[int, Ge(2)] = 16
    contexts: Annotated[int, Ge(2)] = 8
    scores: ClassVar = ("mean", "sampling_error")
    rows: ClassVar = ("map", "standard_error")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        return grid_fault(self.grid, shape)

    @property
    def forwards(self) -> float:
        """Give the passes of one image."""
        return 4 * self.contexts * (4 * self.grid**2 - 6 * self.grid + 2)

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        game = perturbation_game(source, clean, adversarial, self.grid)
        pairs = neighbours(self.grid)
        estimate, error = (each.cpu() for each in sampled_pairs(game, pairs[None], self.contexts, rng))
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
