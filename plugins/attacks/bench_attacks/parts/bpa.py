"""Backward propagation attack (Wang et al., 2023; arXiv:2306.12685)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Gt

from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..rewiring import ACTIVATIONS, Depth, changed_calls, identity_gradient, lacks_activations, lacks_layer, past
from ..taps import Layer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model, Rejection

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

Pair = int | tuple[int, int]


@dataclass(frozen=True)
class SmoothBackward:
    """The network with smooth gradients where its own are cut off. The logits do not change.

    Each activation past a layer has the derivative of SiLU, `s(z) (1 + z (1 - s(z)))` with the logistic function s.
    Everywhere, max pooling spreads the gradient over each window, by the softmax of `temperature` times its values.
    """

    layer: str | float
    temperature: float
    forwards: ClassVar[int] = 0

    def check(self, model: Model) -> Rejection | None:
        return lacks_layer(model, Layer(self.layer), "bpa_layer") or lacks_activations(model, "bpa_layer")

    @contextmanager
    def apply(self, model: Model, _run: RunState) -> Iterator[Model]:
        def activation(compute: Any, features: Tensor, *arguments: Any, **named: Any) -> Any:
            value = compute(features, *arguments, **named)
            return identity_gradient(torch.nn.functional.silu(features), value) if switch.on else value

        def pooling(compute: Any, features: Tensor, *arguments: Any, **named: Any) -> Any:
            value = compute(features, *arguments, **named)
            if not isinstance(value, torch.Tensor):  # with the indices of the largest values
                return value
            return identity_gradient(self.weighted(features, value, *arguments, **named), value)

        with ExitStack() as stack:
            switch = stack.enter_context(past(model, Layer(self.layer)))
            changes = {**dict.fromkeys(ACTIVATIONS, activation), "max_pool2d": pooling}
            stack.enter_context(changed_calls(changes))
            yield model

    def weighted(
        self, features: Tensor, pooled: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
        dilation: Pair = 1, *_ignored: Any, **_named: Any,
    ) -> Tensor:  # fmt: skip
        """Return the sum of each window's values with their softmax as weights, which have no gradient."""
        kernel, gap = pair(kernel_size), pair(dilation)
        step = pair(stride) if stride else kernel
        sides: list[int] = []  # what is padded to the right, left, bottom and top
        for axis in (1, 0):
            before = pair(padding)[axis]
            reach = (pooled.shape[axis - 2] - 1) * step[axis] + gap[axis] * (kernel[axis] - 1) + 1
            sides += [before, max(0, reach - before - features.shape[axis - 2])]
        pad, unfold = torch.nn.functional.pad, torch.nn.functional.unfold
        planes = features.flatten(0, 1)[:, None]
        values = unfold(pad(planes, sides), kernel, gap, 0, step)
        outside = unfold(pad(planes.detach(), sides, value=-torch.inf), kernel, gap, 0, step)
        weights = (self.temperature * outside).softmax(1)
        return (weights * values).sum(1).view(pooled.shape)


def pair(size: Pair) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


def bpa(
    attack: GradientAttack, *, bpa_layer: Depth = 0.5, pool_temperature: Annotated[float, Gt(0)] = 10.0
) -> GradientAttack:
    """Backpropagate through smooth activations and soft max pooling (Wang et al., 2023).

    The authors begin at the second block of `layer3` of ResNet-50, where 0.5 ends, and change ReLUs; here softplus is
    changed too. Their code computes `exp(10 z)`, which overflows, and counts padding as values of zero; here the
    maximum is subtracted and padding has no weight. bench may exchange a max-pooling with the ReLU before it, which
    makes networks faster to attack: the values that are pooled are then those before the ReLU.

    Args:
        attack: The attack.
        bpa_layer: The layer after which activations are changed: a name, or a share of the network's depth.
        pool_temperature: The factor of the values before their softmax.
    """
    return attack.with_surrogates(SmoothBackward(bpa_layer, pool_temperature), *attack.surrogates)


RECIPE = recipe(bpa)
