"""Intermediate-level perturbation decay (Li et al., 2023; arXiv:2304.13410)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from ..compose import Share, recipe
from ..gradient_attack import GradientAttack
from ..members import members_of
from ..mixing import mixed_features, with_mixing
from ..rewiring import Depth, lacks_layer
from ..taps import Layer

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model, Rejection

    from ..run_state import RunState


@dataclass(frozen=True)
class DecayedFeatures:
    """The network whose features at a layer are `share * f(x) + (1 - share) * f(clean + noise)`.

    The noise is normal, drawn anew for each query and each of its points, and not clipped.
    """

    layer: str | float
    share: float
    noise: float
    forwards: ClassVar[int] = 1
    by_row: ClassVar[bool] = True

    def check(self, model: Model) -> Rejection | None:
        return lacks_layer(model, Layer(self.layer), "ilpd_layer")

    @contextmanager
    def apply(self, model: Any, run: RunState) -> Iterator[Callable[..., Any]]:
        def mix(_number: int, features: Tensor, clean: Tensor, _images: Tensor) -> Tensor:
            return self.share * features + (1 - self.share) * clean

        noisy = run.clean + self.noise * run.rng.normal("clean noise", run.clean.shape[1:])
        layers = [Layer(self.layer).module(member) for member in members_of(model)]
        with mixed_features(model, noisy, layers, mix) as changed:
            yield changed


def ilpd(
    attack: GradientAttack, *, ilpd_layer: Depth = 0.45, kept: Share = 0.1, clean_noise: Annotated[float, Ge(0)] = 0.05
) -> GradientAttack:
    """Decay the perturbation of the features at a layer towards those of the clean image (Li et al., 2023).

    The gradient of the features is multiplied by `kept` too, which changes nothing but the point at which the rest of
    the network is. With `di`, the clean image gets the size of the padded image, but is not moved. The authors take
    100 steps of 1/255.

    Args:
        attack: The attack.
        ilpd_layer: The layer: a name such as "layer2.3", or a share of the network's depth.
        kept: The share of the perturbation that is kept.
        clean_noise: The standard deviation of the noise on the clean image.
    """
    return with_mixing(attack, DecayedFeatures(ilpd_layer, kept, clean_noise))


RECIPE = recipe(ilpd)
