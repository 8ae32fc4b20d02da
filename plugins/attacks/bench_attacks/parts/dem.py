"""Diversity ensemble and region fitting (Zou et al., 2020; arXiv:2112.06011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..offsets import LENGTHS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Budget

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class ResizedCopies:
    """Copies that are enlarged, padded with zeros and resized back, one for each canvas.

    With an image of side s and a canvas of side r, the integer part of `s * rate`, the image is resized to a random
    side in [s, r), put at a random position on the canvas, and the canvas is resized to s. All resizing is bilinear.
    The `count` rates are linear from `lowest` to `highest`. A canvas is at least one pixel larger than the image.
    """

    count: int
    lowest: float
    highest: float
    through: bool = True

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        rates = torch.linspace(self.lowest, self.highest, self.count, dtype=torch.float64).tolist()
        numbers = run.rng.uniform("resized copies", (self.count, 3)).double().tolist()
        # One image at a time: each has other sizes, and its result must not depend on the others.
        return torch.stack(
            [
                torch.stack([resized(image, rate, *drawn) for rate, drawn in zip(rates, of_image, strict=True)])
                for image, of_image in zip(images, numbers, strict=True)
            ]
        )


def resized(image: Tensor, rate: float, scale: float, down: float, right: float) -> Tensor:
    """Return the copy of an image [c, h, w], given three random numbers in [0, 1)."""
    sides = image.shape[-2:]
    canvas = [max(int(side * rate + 1e-9), side + 1) for side in sides]
    inner = [side + int(scale * (whole - side)) for side, whole in zip(sides, canvas, strict=True)]
    top, left = (int(place * (whole - part)) for place, whole, part in zip((down, right), canvas, inner, strict=True))
    padding = (left, canvas[1] - inner[1] - left, top, canvas[0] - inner[0] - top)
    enlarged = torch.nn.functional.interpolate(image[None].contiguous(), inner, mode="bilinear")
    padded = torch.nn.functional.pad(enlarged, padding)
    return torch.nn.functional.interpolate(padded, sides, mode="bilinear")[0]


@dataclass(frozen=True)
class LongerStep:
    """A step `factor` times as long as the budget's."""

    factor: float
    norms: ClassVar = LENGTHS

    def check(self, _budget: Budget) -> None:
        return None

    def init(self, _images: Tensor) -> None:
        return None

    def move(self, direction: Tensor, length: float | Tensor, _state: None, _run: RunState) -> tuple[Tensor, None]:
        return self.factor * length * direction, None


Rate = Annotated[float, Gt(1)]


def dem(
    attack: GradientAttack, *, canvases: Count = 5, smallest_canvas: Rate = 1.14, largest_canvas: Rate = 1.66,
    region_fitting: bool = False,
) -> GradientAttack:  # fmt: skip
    """Average the logits over copies that are resized and padded at random (Zou et al., 2020).

    The published attack has a momentum (`mi`), and steps of length eps, which it calls region fitting: each pixel of an
    L-infinity perturbation then is at the border of the ball. It is off by default, so that the budget's steps are
    used. Combined with other transformations, the logits of all copies of all of them are averaged. TransferAttack has
    one draw for a batch.

    Args:
        attack: The attack.
        canvases: The number of copies.
        smallest_canvas: The side of the first copy's canvas, in sides of the image.
        largest_canvas: The side of the last copy's canvas, in sides of the image.
        region_fitting: Replace the length of a step by the budget's eps.
    """
    if region_fitting:
        length = attack.budget.step_size
        attack = attack.set_once(step_rule=LongerStep(attack.budget.eps / length if length else 0))
    copies = ResizedCopies(canvases, smallest_canvas, largest_canvas)
    return attack.set_once(pooling="logits").add_views(copies)


# Images of the checks are so small that a rate of 1.14 adds no pixel.
RECIPE = recipe(dem, small={"canvases": 2, "smallest_canvas": 1.4})
