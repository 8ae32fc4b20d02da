"""Clean feature mixup (Byun et al., 2023; arXiv:2304.14846)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.types import Rejection

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..mixing import mixed_features, with_mixing

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench_core.types import Model

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class CleanFeatures:
    """The network whose features are mixed with those of a donor, a clean image of another class.

    After each linear layer, and each convolution whose output has at most a quarter of the input's side, features
    become `(1 - a) f + a f_donor` with the given probability; `a` is uniform in [0, share), one number a channel. Each
    input has its own numbers, and all inputs of one point have the same donor.
    """

    probability: float
    share: float
    forwards: ClassVar[int] = 1
    by_row: ClassVar[bool] = True

    def check(self, model: Model) -> Rejection | None:
        if layers(model):
            return None
        found = f"the source {type(model).__name__} has no modules nn.Conv2d or nn.Linear"
        return Rejection("mix_probability", f"{found} (try a source with such modules)")

    @contextmanager
    def apply(self, model: Any, run: RunState) -> Iterator[Callable[..., Any]]:
        def mix(number: int, features: Tensor, donors: Tensor, images: Tensor) -> Tensor:
            maps = features.ndim == 4
            if maps and 4 * max(features.shape[-2:]) > max(images.shape[-2:]):
                return features
            rng = run.repeated(len(features) // len(run.clean)).rng
            inner = (features.shape[1], 1, 1) if maps else (*[1] * (features.ndim - 2), features.shape[-1])
            chosen = rng.uniform(f"mixed {number}", [1] * (features.ndim - 1)) < self.probability
            weights = self.share * rng.uniform(f"mixed channels {number}", inner) * chosen
            return features + weights * (donors - features)

        with mixed_features(model, run.donors("clean features", 1)[:, 0], layers(model), mix) as changed:
            yield changed


def layers(model: Model) -> list[nn.Module]:
    """Return the convolutions and linear layers of a network."""
    return [module for module in model.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]


def cfm(
    attack: GradientAttack, *, mix_probability: Share = 0.1, mix_share: Share = 0.75, cfm_pool: Count = 100
) -> GradientAttack:
    """Mix inner features with those of clean images, at random layers (Byun et al., 2023).

    The authors' code shuffles the clean features of a batch, in another order for each layer, and may give an image its
    own. Here donors are clean images of other classes of the dataset, drawn anew for each query, and go through the
    network each time: a second forward a step, in place of one at the start. Their attack is targeted, with `logit` and
    `resize = 340/299`, `probability = 1` (a suite's parts are `logit` and `cfm`); donors are then resized too.

    Args:
        attack: The attack.
        mix_probability: The probability that a layer's features are mixed.
        mix_share: The largest weight of the donor's features.
        cfm_pool: The number of images of the dataset from which donors are drawn.
    """
    return with_mixing(attack.with_donors(cfm_pool), CleanFeatures(mix_probability, mix_share))


RECIPE = recipe(cfm)
