"""What an attack ascends: the loss, its average over noise, the interaction inside the perturbation, its norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.grid import cells_to_pixels, grid_fault
from bench_core.logits import LOSSES, pick, strongest_other

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, LossName

    from .draw import Draw
    from .protocols import Seen
else:
    from bench_core.lazy import torch


def objective(loss: LossName, logits: Tensor, examples: Examples) -> Tensor:
    """Give what an attack ascends: the loss of the true class, or minus that of the class aimed at."""
    if examples.targets is None:
        return LOSSES[loss](logits, examples.labels)
    return -LOSSES[loss](logits, examples.targets)


@dataclass(frozen=True)
class Loss:
    """The classification loss at the current image."""

    loss: LossName
    points: int = 0
    sees_image: bool = True
    sees_clean: bool = False

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def place(self, _clean: Tensor, _images: Tensor, _draw: Draw) -> None:
        return None

    def value(self, seen: Seen, examples: Examples) -> Tensor:
        assert seen.image is not None
        return objective(self.loss, seen.image, examples)


@dataclass(frozen=True)
class SmoothedLoss:
    """The classification loss, averaged over `points` copies of the current image with fresh Gaussian noise of
    standard deviation `sigma` each step (Wu et al., 2018; arXiv:2010.04055, eq. 29). The copies are not clipped."""

    loss: LossName
    points: int
    sigma: float
    sees_image: bool = False
    sees_clean: bool = False

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def place(self, _clean: Tensor, images: Tensor, draw: Draw) -> Tensor:
        return images[:, None] + self.sigma * draw.normal("smoothing", (self.points, *images.shape[1:]))

    def value(self, seen: Seen, examples: Examples) -> Tensor:
        return objective(self.loss, seen.points, examples).mean(1)


@dataclass(frozen=True)
class Interaction:
    """Minus `strength` times the sampled interaction inside the perturbation (arXiv:2010.04055, eq. 42):

    `mean_k [v(all) - v(all without B_k) - v(B_k) + v(empty)]`, with `B_k` fresh random sets of `cells` distinct cells
    of a `grid` x `grid` division, drawn for each image and step, and `v(S) = h_y' - h_y` at the image perturbed on
    the cells of S only. `y'` is the strongest wrong class at the current image (the class aimed at, if there is one).
    `v(all)` is the current image's, shared with the loss; `v(empty)` has no gradient and is computed once a run.
    """

    strength: float
    grid: int
    samples: int
    cells: int
    sees_image: bool = True
    sees_clean: bool = True

    @property
    def points(self) -> int:
        return 2 * self.samples

    def check(self, shape: tuple[int, int, int]) -> str | None:
        if self.cells > self.grid**2:
            return f"cells: found {self.cells}, more than the {self.grid**2} of a grid of {self.grid}"
        return grid_fault(self.grid, shape)

    def place(self, clean: Tensor, images: Tensor, draw: Draw) -> Tensor:
        inside = draw.subsets("interaction", self.samples, self.grid**2, self.cells)
        kept = cells_to_pixels(torch.cat([~inside, inside], dim=1), self.grid, images.shape[-2:])
        return clean[:, None] + (images - clean)[:, None] * kept

    def value(self, seen: Seen, examples: Examples) -> Tensor:
        assert seen.image is not None
        assert seen.clean is not None
        rival = examples.targets
        if rival is None:
            rival = strongest_other(seen.image.detach(), examples.labels)

        def utility(logits: Tensor) -> Tensor:
            return pick(logits, rival) - pick(logits, examples.labels)

        without, alone = utility(seen.points).split(self.samples, dim=1)
        interaction = utility(seen.image) - without.mean(1) - alone.mean(1) + utility(seen.clean)
        penalty: Tensor = -self.strength * interaction
        return penalty


@dataclass(frozen=True)
class Size:
    """Minus `c * norm_p(delta)^p`, the price of a large perturbation (arXiv:2010.04055, eq. 8)."""

    c: float
    p: float
    points: int = 0
    sees_image: bool = False
    sees_clean: bool = False

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def place(self, _clean: Tensor, _images: Tensor, _draw: Draw) -> None:
        return None

    def value(self, seen: Seen, _examples: Examples) -> Tensor:
        return -self.c * seen.delta.abs().pow(self.p).flatten(1).sum(1)
