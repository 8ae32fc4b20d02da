"""The norm balls: how to start in one, which way to step, how to come back into it. Each image on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .draw import Draw


@dataclass(frozen=True)
class Ball:
    """`sample(draw, like, eps)`, uniform in the ball; `direction(gradient)`, the steepest unit step; `project`."""

    sample: Callable[[Draw, Tensor, float], Tensor]
    direction: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, float], Tensor]


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Shape values [n] so that they broadcast over images [n, c, h, w]."""
    return values.view(-1, *[1] * (like.ndim - 1))


def unit(gradient: Tensor) -> Tensor:
    """Scale each image's gradient to Euclidean length 1; zero stays zero, and tiny does not underflow to it."""
    peak = per_image(gradient.flatten(1).abs().amax(1), gradient)
    scaled = gradient / peak.where(peak > 0, 1)
    length = per_image(scaled.flatten(1).norm(dim=1), gradient)
    return scaled / length.where(length > 0, 1)


def shrink(delta: Tensor, eps: float) -> Tensor:
    """Scale each perturbation longer than `eps` back to it."""
    length = per_image(delta.flatten(1).norm(dim=1), delta)
    return delta * (eps / length.where(length > eps, eps)).clamp(max=1) if eps > 0 else delta * 0


def sample_linf(draw: Draw, like: Tensor, eps: float) -> Tensor:
    return (2 * draw.uniform("start", like.shape[1:]) - 1) * eps


def sample_l2(draw: Draw, like: Tensor, eps: float) -> Tensor:
    direction = unit(draw.normal("start", like.shape[1:]))
    radius = draw.uniform("start radius", ()) ** (1 / like[0].numel())
    return direction * per_image(radius, like) * eps


BALLS = MappingProxyType(
    {
        "linf": Ball(sample_linf, lambda gradient: gradient.sign(), lambda delta, eps: delta.clamp(-eps, eps)),
        "l2": Ball(sample_l2, unit, shrink),
    }
)
