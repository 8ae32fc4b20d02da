"""Interaction reduction (Wang et al., 2021; arXiv:2010.04055)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from bench_core.grid import cells_to_pixels, grid_fault
from bench_core.logits import pick, strongest_other
from bench_core.types import Rejection

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples

    from ..messages import TermInputs
    from ..run_state import RunState
else:
    from bench_core.lazy import torch

Sets = Literal["independent", "disjoint"]
SMALL = {"grid": 3, "samples": 3, "cells": 3}  # options with which `bench check` takes less than a second


@dataclass(frozen=True)
class Interaction:
    """Minus `strength` times the sampled interaction inside the perturbation (arXiv:2010.04055, eq. 42):

    `mean_k [v(all) - v(all without B_k) - v(B_k) + v(empty)]`. The image is divided into `grid` x `grid` cells. The
    `B_k` are `samples` random sets of `cells` distinct cells, drawn anew for each image and step. `v(S) = h_y' - h_y`
    in logits, at the image that is perturbed only on the cells of S; `y'` is the strongest wrong class at the current
    image, or the target class. `v(all)` uses the current image's logits, as the loss does; `v(empty)` has no gradient
    and is computed once per run.

    The `sets` of a step are independent, as in the paper, or disjoint as far as they fit into the image. Each alone is
    a uniformly random set in both cases, so the sampled interaction has the same expectation.
    """

    strength: float
    grid: int
    samples: int
    cells: int
    sets: Sets = "independent"
    uses_image: bool = True
    uses_clean: bool = True
    lowers_interaction: ClassVar[bool] = True

    @property
    def count(self) -> int:
        return 2 * self.samples

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        if self.cells > self.grid**2:
            return Rejection("cells", f"found {self.cells}, more than the {self.grid**2} of a grid of {self.grid}")
        if self.sets == "disjoint" and self.samples > 1 and 2 * self.cells >= self.grid**2:
            # larger sets overlap, and a half and the other half have the same interaction
            most = f"{self.cells} cells are not less than half of the {self.grid**2} of a grid of {self.grid}"
            return Rejection("sets", f'found "disjoint", but {most} (try "independent", or fewer cells)')
        return Rejection.of(grid_fault(self.grid, shape))

    def points(self, images: Tensor, run: RunState) -> Tensor:
        draw = run.rng.disjoint_subsets if self.sets == "disjoint" else run.rng.subsets
        inside = draw("interaction", self.samples, self.grid**2, self.cells)
        kept = cells_to_pixels(torch.cat([~inside, inside], dim=1), self.grid, images.shape[-2:])
        return run.clean[:, None] + (images - run.clean)[:, None] * kept

    def value(self, inputs: TermInputs, examples: Examples) -> Tensor:
        assert inputs.image is not None
        assert inputs.clean is not None
        rival = examples.targets
        if rival is None:
            rival = strongest_other(inputs.image.detach(), examples.labels)

        def utility(logits: Tensor) -> Tensor:
            return pick(logits, rival) - pick(logits, examples.labels)

        without, alone = utility(inputs.points).split(self.samples, dim=1)
        interaction = utility(inputs.image) - without.mean(1) - alone.mean(1) + utility(inputs.clean)
        penalty: Tensor = -self.strength * interaction
        return penalty


def ir(
    attack: GradientAttack,
    *,
    strength: Annotated[float, Ge(0)] = 1.0,
    grid: Count = 16,
    samples: Count = 32,
    cells: Count = 32,
    sets: Sets = "independent",
) -> GradientAttack:
    """Reduce the interaction inside the perturbation (Wang et al., 2021; arXiv:2010.04055, eqs. 5 and 42)."""
    if strength == 0:  # no term at all: unneeded points would change the last bits of plain gradient ascent
        return attack
    return attack.add_term(Interaction(strength, grid, samples, cells, sets))


RECIPE = recipe(ir, small=SMALL)
