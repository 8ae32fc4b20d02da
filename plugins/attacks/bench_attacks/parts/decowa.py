"""Deformation-constrained warping (Lin et al., AAAI 2024; arXiv:2402.03951)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..sampling import Bounds, sampled

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


def influences(points: int, height: int, width: int) -> Tensor:
    """Return how far each pixel follows each inner control point of a thin-plate spline, [inner, h, w] in float64.

    The control points are a grid of `points` x `points` over the image, whose corners are the corner pixels' centres.
    A pixel's displacement is the sum over the points of influence x displacement: 1 at the point, 0 at the others.
    """
    ticks = torch.linspace(-1, 1, points, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)
    rows, columns = (torch.linspace(-1, 1, side, dtype=torch.float64) for side in (height, width))
    system = torch.zeros(len(grid) + 3, len(grid) + 3, dtype=torch.float64)
    system[: len(grid)] = spline_terms(grid, grid)
    system[len(grid) :, : len(grid)] = system[: len(grid), len(grid) :].T
    weights = torch.linalg.solve(system, torch.eye(len(grid) + 3, len(grid), dtype=torch.float64))
    inner = (grid.abs() < 1).all(1)
    follows: Tensor = spline_terms(torch.cartesian_prod(rows, columns), grid) @ weights[:, inner]
    return follows.T.reshape(-1, height, width)


def spline_terms(at: Tensor, grid: Tensor) -> Tensor:
    """Return the terms of a thin-plate spline at places [m, 2]: `d^2 log(d^2)` for each control point, 1, y and x."""
    squared = (at[:, None] - grid).square().sum(2)
    return torch.cat([torch.xlogy(squared, squared), torch.ones(len(at), 1, dtype=at.dtype), at], 1)


def warped(images: Tensor, shifts: Tensor, follows: Tensor) -> Tensor:
    """Warp images [n, c, h, w] by the shifts [n, inner, 2], down and right, of the control points; half a side is 1."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device).view(-1, 1).to(images).expand(len(images), -1, width)
    columns = torch.arange(width, device=images.device).to(images).expand(len(images), height, -1)
    for influence, shift in zip(follows, shifts.unbind(1), strict=True):
        rows = rows + (height - 1) / 2 * influence * shift[:, 0].view(-1, 1, 1)
        columns = columns + (width - 1) / 2 * influence * shift[:, 1].view(-1, 1, 1)
    return sampled(images, rows, columns, Bounds(0, height), Bounds(0, width))


@dataclass(frozen=True)
class Warped:
    """The mean gradient at warped copies: `mean_i grad L(W(x, w_i - rho * grad_w L(W(x, w_i))))`, with random `w_i`.

    W moves the inner points of a grid of control points by w, uniform in [-strength, strength]^2 in half sides of the
    image, and the pixels with them by a thin-plate spline; then a step down the loss constrains the deformation.

    The authors' code, and TransferAttack's, has one w for a batch, steps down the mean loss of the batch, exchanges the
    sides of images that are not square, and samples half a pixel outside the borders, so that w = 0 does not give the
    image itself. Here it does, and each image and copy has its own w and its own loss.
    """

    count: int
    points: int
    strength: float
    rho: float

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(2 * self.count)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        follows = influences(self.points, *images.shape[-2:]).to(images)
        shifts = self.strength * (2 * run.rng.uniform("warping", (self.count, len(follows), 2)) - 1)
        answer = yield Query(torch.stack([warped(images, shift, follows) for shift in shifts.unbind(1)], 1))
        slopes = [self.pulled(images, shifts, follows, answer, i)[1] for i in range(self.count)]
        shifts = shifts - self.rho * torch.stack(slopes, 1)
        answer = yield Query(torch.stack([warped(images, shift, follows) for shift in shifts.unbind(1)], 1))
        total = torch.zeros_like(images)
        for i in range(self.count):
            total += self.pulled(images, shifts, follows, answer, i)[0]
        return total / self.count, None

    def pulled(self, images: Tensor, shifts: Tensor, follows: Tensor, answer: Answer, i: int) -> tuple[Tensor, Tensor]:
        """Return the gradients in the images and the shifts, given those at copy i."""
        with torch.enable_grad():
            image, shift = images.detach().requires_grad_(), shifts[:, i].detach().requires_grad_()
            copy = warped(image, shift, follows)
        in_image, in_shift = torch.autograd.grad(copy, (image, shift), answer.gradients[:, i])
        return in_image, in_shift


def decowa(
    attack: GradientAttack, *, warpings: Count = 20, control_points: Annotated[int, Ge(3)] = 3,
    warp_strength: Annotated[float, Ge(0)] = 1.0, warp_constraint: Annotated[float, Ge(0)] = 0.01,
) -> GradientAttack:  # fmt: skip
    """Average the gradient over warped copies, each warped so that its loss is lower (Lin et al., 2024).

    The published attack has a momentum (`mi`).

    Args:
        attack: The attack.
        warpings: The number of copies. Each costs two forward and two backward passes.
        control_points: The number of control points along each side; those at the border stay where they are.
        warp_strength: The largest displacement of a control point, in half sides of the image.
        warp_constraint: The length of the step down the loss, times the gradient in the displacement.
    """
    return attack.set_once(estimator=Warped(warpings, control_points, warp_strength, warp_constraint))


RECIPE = recipe(decowa, small={"warpings": 3})
