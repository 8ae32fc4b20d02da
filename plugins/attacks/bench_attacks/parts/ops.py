"""Operators and perturbations, sampled (Guo et al., CVPR 2025)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..offsets import LENGTHS, per_pixel
from ..sampling import Bounds, sampled
from .dem import resized

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Budget

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

Operator = Callable[[list[float], "Tensor"], "Tensor"]  # of three numbers in [0, 1) and an image [c, h, w]
RADII = 6  # a neighbour's radius is one of the first multiples of a quarter
DEEPEST = 4


def rotated(degrees: float, _numbers: list[float], image: Tensor) -> Tensor:
    """Rotate an image about its centre to the nearest pixels; what comes from outside is 0."""
    height, width = image.shape[1:]
    y = torch.arange(height, device=image.device).to(image)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=image.device).to(image) - (width - 1) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows, columns = cos * y - sin * x + (height - 1) / 2, sin * y + cos * x + (width - 1) / 2
    return sampled(image[None], rows.round()[None], columns.round()[None], Bounds(0, height), Bounds(0, width))[0]


def divided(divisor: int, _numbers: list[float], image: Tensor) -> Tensor:
    return image / divisor


def diverse(rate: float, numbers: list[float], image: Tensor) -> Tensor:
    return resized(image, rate, *numbers)


OPERATORS: tuple[Operator, ...] = (
    lambda _numbers, image: image,
    lambda _numbers, image: image.flip(1),
    lambda _numbers, image: image.flip(2),
    lambda numbers, image: image.roll(int(numbers[0] * image.shape[1]), 1),
    lambda numbers, image: image.roll(int(numbers[0] * image.shape[2]), 2),
    *(partial(rotated, degrees) for degrees in (5, -5, 15, -15, 45, -45, 90, -90, 180)),
    *(partial(divided, divisor) for divisor in range(2, 9)),
    *(partial(diverse, 1.1 + 0.2 * i) for i in range(10)),
)


@dataclass(frozen=True)
class OperatedCopies:
    """The image, and copies `o(x + r_j)`: for each of `neighbours` offsets r_j, `operators` random functions o.

    A function o applies 2, 3 or 4 of 31 operators in turn, each equally likely: the identity, two flips, two rolls by a
    random number of pixels, nine rotations, divisions by 2 to 8, and resizing and padding as `dem` does, with ten sides
    of the canvas from 1.1 to 2.9. An offset is uniform in a box of half side `rho * beta * eps`, rho one of 0.25, 0.5,
    ..., 1.5; in L2 of half side `rho * beta * eps / sqrt(c * h * w)`. Copies are not clipped.

    TransferAttack, from which this follows, draws 60 offsets before the first step, takes 10 of them at a step, and has
    one draw for a batch. Here offsets are drawn anew, and each image has its own.
    """

    neighbours: int
    operators: int
    beta: float
    budget: Budget
    through: bool = True
    norms: ClassVar = LENGTHS

    @property
    def count(self) -> int:
        return 1 + self.neighbours * self.operators

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        shape, copies = images.shape[1:], (self.neighbours, self.operators)
        unit = per_pixel(images.new_full((len(images),), self.beta * self.budget.eps), self.budget.norm, images)
        ratios = (1 + run.rng.integers("operator radii", (self.neighbours, 1, 1, 1), RADII)) / 4
        offsets = 2 * run.rng.uniform("operator offsets", (self.neighbours, *shape)) - 1
        near = images[:, None] + unit[:, None] * ratios.to(images) * offsets
        depths = (2 + run.rng.integers("operator depths", copies, DEEPEST - 1)).tolist()
        chosen = run.rng.integers("operators", (*copies, DEEPEST), len(OPERATORS)).tolist()
        numbers = run.rng.uniform("operator numbers", (*copies, DEEPEST, 3)).double().tolist()
        made = []
        for i, image in enumerate(images):
            made.append(image)
            for j in range(self.neighbours):
                for k in range(self.operators):
                    copy = near[i, j]
                    for level in range(depths[i][j][k]):
                        copy = OPERATORS[chosen[i][j][k][level]](numbers[i][j][k][level], copy)
                    made.append(copy)
        return torch.stack(made).view(len(images), self.count, *shape)


def ops(
    attack: GradientAttack,
    *,
    ops_neighbours: Count = 10,
    operators: Count = 20,
    ops_beta: Annotated[float, Ge(0)] = 2.0,
) -> GradientAttack:
    """Average the loss over random functions of random neighbours of the image (Guo et al., 2025).

    The published attack has a momentum (`mi`). With the default options a step costs 201 forward and backward passes;
    some published rates take 901, with 30 functions of each of 30 neighbours.

    Args:
        attack: The attack.
        ops_neighbours: The number of neighbours.
        operators: The number of functions of each neighbour.
        ops_beta: The factor of the neighbours' distance, in units of the budget's eps.
    """
    return attack.add_views(OperatedCopies(ops_neighbours, operators, ops_beta, attack.budget))


RECIPE = recipe(ops, small={"ops_neighbours": 2, "operators": 2})
