"""Neuron attribution (Zhang et al., 2022; arXiv:2204.00008)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..balls import unit
from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Outputs, Passes, Query
from ..rewiring import Depth
from ..taps import Layer
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Attributions:
    """The mean of `A = W (f - f_base)` over the features, in which negative attributions are multiplied by `gamma`."""

    gamma: float

    def value(self, outputs: Outputs, _examples: Examples) -> Tensor:
        assert outputs.features is not None
        assert outputs.data is not None
        weights, base = outputs.data[:, None].unbind(2)
        attributions = weights * (outputs.features - base)
        return attributions.where(attributions > 0, self.gamma * attributions).flatten(2).mean(2)


@dataclass(frozen=True)
class PathGradients:
    """The weights of the features and the features of a grey base image, [n, 2, ...].

    The weights are the gradients of minus the label's probability (or of the target's probability) in the features,
    summed over the points `base + (1 - l / count) (clean + noise - base)`, l from 0 to count - 1, and scaled to
    Euclidean length 1. Each point has its own noise.
    """

    count: int
    noise: float
    base: float

    def passes(self, _members: int) -> Passes:
        return Passes(plain=self.count, forwards=1)

    def prepare(self, run: RunState) -> Generator[Query, Answer, Tensor]:
        base = torch.full_like(run.clean, self.base)
        total: Tensor | None = None
        for number in range(self.count):
            noisy = run.clean + self.noise * run.rng.normal(f"path {number}", run.clean.shape[1:])
            point = base + (1 - number / self.count) * (noisy - base)
            answer = yield Query(point[:, None], at_tap=True, loss=ClassificationLoss("probability"))
            total = answer.gradients[:, 0] if total is None else total + answer.gradients[:, 0]
        assert total is not None
        features = (yield Query(base[:, None], backward=False, loss=ClassificationLoss("probability"))).features
        assert features is not None
        return torch.stack([unit(total), features[:, 0]], 1)


def naa(
    attack: GradientAttack, *, layer: Depth = 0.45, path: Count = 30, path_noise: Annotated[float, Ge(0)] = 0.1,
    base: Share = 0.5, negative: Annotated[float, Ge(0)] = 1.0, decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Suppress the features that the class's probability is attributed to (Zhang et al., 2022), with momentum.

    The authors' path and noise are in [-1, 1], the range of their networks: its 0 is grey, and its noise of 0.2 is 0.1
    here. The paper's text has a black base. TransferAttack has no noise, no scale and no momentum.

    Args:
        attack: The attack.
        layer: The layer of the features: a name such as "layer2", or a share of the network's depth.
        path: The number of points between the base image and the image.
        path_noise: The standard deviation of the noise at each point.
        base: The grey level of the base image.
        negative: The weight of negative attributions.
        decay: The decay of the momentum.
    """
    preparation = PathGradients(path, path_noise, base)
    attributed = attack.set_once(tap=Layer(layer), loss=Attributions(negative), preparation=preparation)
    return attributed.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(naa, small={"path": 4})
