"""Mean interaction inside a perturbation, on the source network (Wang et al., 2021; arXiv:2010.04055)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from bench_core.grid import grid_fault
from bench_core.statistics import mean

from .coalitions.image_games import perturbation_game
from .coalitions.shapley import interaction_sums
from .shared.sampling_error import sampling_error

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


@dataclass(frozen=True)
class Interaction:
    """Mean interaction inside the perturbation on the source, exact or from sampled cells (eqs. 4 and 28).

    The score `mean` is `E_ij[I_ij] = E_i[v(all) - v(all without i) - v({i}) + v(empty)] / (grid^2 - 1)`; `unscaled`
    omits the denominator, which gives values of the size printed in table 4; `sampling_error` is the standard error of
    `unscaled` due to sampling. The row `per_cell` [n, cells] is `sum_b I_ab`.

    Attributes:
        grid: Cells per side.
        cells: Distinct random cells per image, or 0 for all cells (2 grid^2 + 2 forward passes).
    """

    grid: Annotated[int, Ge(2)] = 16
    cells: Annotated[int, Ge(0)] = 0
    scores: ClassVar = ("mean", "unscaled", "sampling_error")
    rows: ClassVar = ("per_cell",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if self.cells == 1 or self.cells > self.grid**2:
            return f"cells: found {self.cells} (try 0 for all cells, or 2 to {self.grid**2})"
        return grid_fault(self.grid, shape)

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 2 * (self.cells or self.grid**2) + 2

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        game = perturbation_game(source, clean, adversarial, self.grid)
        chosen = None
        if self.cells:
            drawn = rng.subsets("interaction cells", 0, 1, game.players, self.cells)[:, 0]
            chosen = drawn.nonzero()[:, 1].view(len(drawn), self.cells)
        return {"per_cell": interaction_sums(game, chosen)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        per_cell = np.asarray(rows["per_cell"], dtype=np.float64)
        unscaled = per_cell.mean(1)
        yield mean("mean", unscaled / (self.grid**2 - 1))
        yield mean("unscaled", unscaled)
        # the finite population correction: cells are drawn without replacement
        correction = 1 - per_cell.shape[1] / self.grid**2
        variance = per_cell.var(1, ddof=1) / per_cell.shape[1] * correction
        yield sampling_error(np.sqrt(variance))


METRIC = Interaction
EXAMPLES = [{}, {"grid": 4, "cells": 5}]
