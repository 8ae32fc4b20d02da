"""Skip gradients (Wu et al., 2020; arXiv:2002.05990)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.types import Rejection

from ..balls import per_image
from ..branches import branches, residual_blocks
from ..compose import Share, recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model

    from ..run_state import RunState

NO_BRANCHES = (
    "the source {name} has no residual branches that are recognised: no ResNet or SENet block, no dense layer, "
    "no module with an attribute `branch` (try such a source, budgets whose `sources` and `attacks` keep the "
    "two apart, or a network whose blocks keep in `branch` the module whose output is added)"
)


@dataclass(frozen=True)
class SkipGradient:
    """The network with the gradient through each residual branch multiplied by `gamma`. The logits do not change.

    For a block `y = shortcut(x) + branch(x)` the gradient in x becomes `shortcut'(x) g + gamma * branch'(x) g`. For a
    dense layer `y = [x, branch(x)]` the gradient of the new features is scaled. The factor is applied once per branch,
    at its output. If `gamma` is None, it is 0.2 for residual blocks and 0.5 for dense layers. Blocks whose shortcut is
    a projection are changed only with `projections`.

    With `normalise` the gradient in the input of each residual block is also divided by its standard deviation, for
    each input of the network by itself. The authors' code does so for a batch. It changes the weights of the terms of
    an objective with several forwards of one image, such as that of `ir`.
    """

    gamma: float | None
    projections: bool
    normalise: bool = False
    forwards: ClassVar[int] = 0

    def check(self, model: Model) -> Rejection | None:
        if branches(model, self.projections):
            return None
        return Rejection("gamma", NO_BRANCHES.format(name=type(model).__name__))

    @contextmanager
    def apply(self, model: Model, _run: RunState) -> Iterator[Model]:
        ends = branches(model, self.projections)
        if not ends:
            raise ValueError(str(self.check(model)))
        with ExitStack() as hooks:
            for module, default in ends:
                hook = scaling(default if self.gamma is None else self.gamma)
                hooks.callback(module.register_forward_hook(hook).remove)
            for block in residual_blocks(model) if self.normalise else ():
                hooks.callback(block.register_forward_pre_hook(normalised).remove)
            yield model


def scaling(gamma: float) -> Callable[[Any, Any, Tensor], None]:
    """Return a forward hook that scales the gradient of a module's output by `gamma`.

    It hooks the output tensor, because a backward hook of the module fails if the block changes that tensor in place.
    """

    def scale(_module: Any, _inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gamma * gradient)

    return scale


def normalised(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Divide the gradient in a block's input by its standard deviation in each row: a forward pre-hook."""
    if not inputs[0].requires_grad:
        return None
    features = inputs[0].view_as(inputs[0])
    features.register_hook(of_unit_deviation)
    return (features, *inputs[1:])


def of_unit_deviation(gradient: Tensor) -> Tensor:
    """Scale each row to a standard deviation of 1. Zero stays zero."""
    peak = per_image(gradient.flatten(1).abs().amax(1), gradient)
    scaled = gradient / peak.where(peak > 0, 1)
    deviation = per_image(scaled.flatten(1).std(1), gradient)
    return scaled / deviation.where(deviation > 0, 1)


def sgm(
    attack: GradientAttack, *, gamma: Share | None = None, projections: bool = False, normalise: bool = False
) -> GradientAttack:
    """Scale the gradient through residual branches by gamma (Wu et al., 2020).

    Args:
        attack: The attack.
        gamma: The factor; by default the authors' for the kind of block.
        projections: Also change blocks whose shortcut is a projection.
        normalise: Divide the gradient in each residual block's input by its standard deviation, as the authors' code
            does between the blocks of ResNets, which the paper does not mention. With it the published rows of `sgm`
            with `ir` on residual sources can be compared; without it the gradient is that of the paper's equation.
    """
    # first, because it finds branches only in the network itself, not in what another surrogate yields
    return attack.with_surrogates(SkipGradient(gamma, projections, normalise), *attack.surrogates)


RECIPE = recipe(sgm)
