"""Skip gradients (Wu et al., 2020; arXiv:2002.05990)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.types import Rejection

from ..branches import branches
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
    """

    gamma: float | None
    projections: bool
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
            yield model


def scaling(gamma: float) -> Callable[[Any, Any, Tensor], None]:
    """Return a forward hook that scales the gradient of a module's output by `gamma`.

    It hooks the output tensor, because a backward hook of the module fails if the block changes that tensor in place.
    """

    def scale(_module: Any, _inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gamma * gradient)

    return scale


def sgm(attack: GradientAttack, *, gamma: Share | None = None, projections: bool = False) -> GradientAttack:
    """Scale the gradient through residual branches by gamma (Wu et al., 2020)."""
    # first, because it finds branches only in the network itself, not in what another surrogate yields
    return attack.with_surrogates(SkipGradient(gamma, projections), *attack.surrogates)


RECIPES = {"sgm": recipe(sgm)}
