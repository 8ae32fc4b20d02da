"""The norm balls: random starts, steepest directions and projections, image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from .sparse import project_l0, project_l1, sample_l0, sample_l1, steepest_l1

if TYPE_CHECKING:
    from torch import Tensor

    from .step_rng import StepRng


@dataclass(frozen=True)
class Ball:
    """The ball of one norm. Tensors are [n, c, h, w]; eps is in units of the image range, in L0 a number of pixels.

    Attributes:
        sample: (rng, images, eps) -> perturbations of images drawn uniformly from the ball.
        direction: (gradient, images) -> the step of length 1 at images; zero where the gradient is zero. It is the
            steepest one in L-inf and L2, and a sparse one in L1. In L0, where a step has no length, it is the gradient
            with a mean absolute value of 1 (Croce and Hein, 2019).
        project: (delta, eps, clean) -> the nearest perturbations inside the ball; in L1 and L0, of those with which the
            clean images stay in [0, 1].

    The `images` and the `clean` ones may be left out. In L1 and L0 the image range then counts for nothing.
    """

    sample: Callable[[StepRng, Tensor, float], Tensor]
    direction: Callable[..., Tensor]
    project: Callable[..., Tensor]


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values [n] so that they broadcast over `like` [n, c, h, w]."""
    return values.view(-1, *[1] * (like.ndim - 1))


def unit(gradient: Tensor) -> Tensor:
    """Scale each image's gradient to Euclidean length 1. Zero stays zero; tiny gradients do not underflow to zero."""
    peak = per_image(gradient.flatten(1).abs().amax(1), gradient)
    scaled = gradient / peak.where(peak > 0, 1)
    length = per_image(scaled.flatten(1).norm(dim=1), gradient)
    return scaled / length.where(length > 0, 1)


def mean_unit(gradient: Tensor) -> Tensor:
    """Scale each image's gradient to a mean absolute value of 1: the `g / norm_1(g)` of most papers' code.

    Zero stays zero; tiny gradients do not underflow to zero.
    """
    peak = per_image(gradient.flatten(1).abs().amax(1), gradient)
    scaled = gradient / peak.where(peak > 0, 1)
    mean = per_image(scaled.flatten(1).abs().mean(1), gradient)
    return scaled / mean.where(mean > 0, 1)


def shrink(delta: Tensor, eps: float) -> Tensor:
    """Scale each perturbation whose Euclidean length is greater than `eps` to the length `eps`."""
    length = per_image(delta.flatten(1).norm(dim=1), delta)
    return delta * (eps / length.where(length > eps, eps)).clamp(max=1) if eps > 0 else delta * 0


def sample_linf(rng: StepRng, like: Tensor, eps: float) -> Tensor:
    return (2 * rng.uniform("start", like.shape[1:]) - 1) * eps


def sample_l2(rng: StepRng, like: Tensor, eps: float) -> Tensor:
    direction = unit(rng.normal("start", like.shape[1:]))
    radius = rng.uniform("start radius", ()) ** (1 / like[0].numel())
    return direction * per_image(radius, like) * eps


BALLS = MappingProxyType(
    {
        "linf": Ball(
            sample_linf,
            lambda gradient, _images=None: gradient.sign(),
            lambda delta, eps, _clean=None: delta.clamp(-eps, eps),
        ),
        "l2": Ball(
            sample_l2,
            lambda gradient, _images=None: unit(gradient),
            lambda delta, eps, _clean=None: shrink(delta, eps),
        ),
        "l1": Ball(sample_l1, steepest_l1, project_l1),
        "l0": Ball(sample_l0, lambda gradient, _images=None: mean_unit(gradient), project_l0),
    }
)
