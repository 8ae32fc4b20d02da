"""Linear backpropagation (Guo et al., 2020; arXiv:2012.03528)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..balls import per_image, unit
from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..rewiring import (
    ACTIVATIONS,
    Depth,
    branch_spans,
    changed_calls,
    lacks_activations,
    lacks_branches,
    lacks_layer,
    past,
)
from ..taps import Layer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model, Rejection

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


class Branch:
    """One call of a branch: its activations pass the gradient as it is, except in a second pull that measures it."""

    def __init__(self, features: Tensor) -> None:
        self.features, self.masked = features, False
        self.length = features.new_zeros(len(features))
        features.register_hook(self._rescaled)

    def activation(self, compute: Any, features: Tensor, *arguments: Any, **named: Any) -> Tensor:
        """Return the activation, with both gradients, of which one is multiplied by zero."""
        value: Tensor = compute(features, *arguments, **named)
        straight = features - features.detach()  # zero, with a gradient of one
        value.register_hook(lambda gradient: gradient if self.masked else 0 * gradient)
        straight.register_hook(lambda gradient: 0 * gradient if self.masked else gradient)
        return value + straight

    def ends(self, output: Tensor) -> Tensor:
        """Return a copy of the output, whose gradient is first pulled through the branch as it is."""

        def pull(gradient: Tensor) -> None:
            self.masked = True
            (masked,) = torch.autograd.grad(output, self.features, gradient, retain_graph=True)
            self.masked, self.length = False, length(masked)

        copy = output.clone()
        copy.register_hook(pull)
        return copy

    def _rescaled(self, gradient: Tensor) -> Tensor | None:
        return None if self.masked else unit(gradient) * per_image(self.length, gradient)


def length(gradient: Tensor) -> Tensor:
    """Return the Euclidean length of each row [n]; tiny gradients do not underflow to zero."""
    flat = gradient.flatten(1)
    peak = flat.abs().amax(1)
    scaled: Tensor = flat / peak.where(peak > 0, 1)[:, None]
    lengths: Tensor = peak * scaled.norm(dim=1)
    return lengths


@dataclass(frozen=True)
class LinearBackward:
    """The network with the gradient of the identity at each activation inside a residual branch past a layer.

    For a block `y = x + W_2 relu(W_1 x)` and the gradient g in y, let `h = W_1' M W_2' g` be the gradient through the
    branch, with the diagonal matrix M of the derivatives of its ReLUs, and `l = W_1' W_2' g` the same without M. The
    gradient in x becomes `g + norm_2(h) / norm_2(l) * l`, where it was `g + h`; the norms are those of each image.

    The logits do not change, and neither does the gradient of an activation after a sum.
    """

    layer: str | float
    forwards: ClassVar[int] = 0

    def check(self, model: Model) -> Rejection | None:
        option = "linbp_layer"
        rejections = (lacks_layer(model, Layer(self.layer), option), lacks_activations(model, option))
        return next(filter(None, rejections), lacks_branches(model, option))

    @contextmanager
    def apply(self, model: Model, _run: RunState) -> Iterator[Model]:
        inside: list[Branch] = []

        def enter(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not (switch.on and inputs[0].requires_grad):
                return None
            inside.append(Branch(inputs[0].view_as(inputs[0])))
            return (inside[-1].features, *inputs[1:])

        def leave(_module: Any, _inputs: Any, output: Tensor) -> Tensor | None:
            return inside.pop().ends(output) if inside else None

        def activation(compute: Any, features: Tensor, *arguments: Any, **named: Any) -> Any:
            if inside and features.requires_grad:
                return inside[-1].activation(compute, features, *arguments, **named)
            return compute(features, *arguments, **named)

        with ExitStack() as stack:
            switch = stack.enter_context(past(model, Layer(self.layer)))
            for start, end in branch_spans(model):
                stack.callback(start.register_forward_pre_hook(enter).remove)
                stack.callback(end.register_forward_hook(leave).remove)
            stack.enter_context(changed_calls(dict.fromkeys(ACTIVATIONS, activation)))
            yield model


def linbp(attack: GradientAttack, *, linbp_layer: Depth = 0.5) -> GradientAttack:
    """Backpropagate through the branches past a layer as if they were linear (Guo et al., 2020).

    The authors' code does so on ResNet-50 only, from the second block of `layer3` on, which is where 0.5 ends. Here any
    network with recognised branches is changed, dense layers too, and softplus like ReLU. A branch whose gradient is
    zero stays zero; the authors' code divides by its length. Implementations take 300 steps. In a targeted attack
    TransferAttack raises the cross-entropy of the class aimed at.

    Args:
        attack: The attack.
        linbp_layer: The layer after which it begins: a name such as "layer2", or a share of the network's depth.
    """
    # first, because it finds branches only in the network itself, not in what another surrogate yields
    return attack.with_surrogates(LinearBackward(linbp_layer), *attack.surrogates)


RECIPE = recipe(linbp)
