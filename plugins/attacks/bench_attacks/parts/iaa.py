"""Intrinsic adversarial attack (Zhu et al., ICLR 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Gt

from ..branches import branch_end, is_dense, projects
from ..compose import Share, recipe
from ..gradient_attack import GradientAttack
from ..members import members_of
from ..rewiring import changed_calls, lacks_branches

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench_core.types import Model, Rejection

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

RESIDUAL, DENSE = (0.98, 0.87, 0.73, 0.19), (0.80, 0.80, 0.80, 0.44)  # ResNet-50, DenseNet-121 and 201
RESIDUAL_BETA, DENSE_BETA = 20.0, 35.0


@dataclass(frozen=True)
class SmoothWeighted:
    """The network with softplus for ReLU and with weighted branches. Both change the logits, too.

    `relu(z)` becomes `softplus(z) = log(1 + exp(beta z)) / beta`. A residual block `y = shortcut(x) + f(x)` of stage k
    becomes `y = shortcut(x) + w_k f(x)`, and a dense layer `y = [x, f(x)]` becomes `y = [x, w_k f(x)]`.

    A stage is a row of blocks without anything between them; a block whose shortcut is a projection begins the next
    one. If there are more or fewer stages than weights, these are interpolated, and the last stage has the last.
    """

    beta: float | None
    weights: tuple[float, ...] | None
    forwards: ClassVar[int] = 0

    def check(self, model: Model) -> Rejection | None:
        return lacks_branches(model, "stage_weights")

    @contextmanager
    def apply(self, model: Model, _run: RunState) -> Iterator[Model]:
        betas: list[float] = []

        def activation(compute: Any, features: Tensor, *arguments: Any, **named: Any) -> Any:
            if not betas:  # outside the network
                return compute(features, *arguments, **named)
            return torch.nn.functional.softplus(features, betas[-1])

        with ExitStack() as stack:
            for member in members_of(model):
                found = stages(member)
                dense = bool(found) and is_dense(found[0][0])
                beta = self.beta or (DENSE_BETA if dense else RESIDUAL_BETA)
                stack.callback(member.register_forward_pre_hook(entering(betas, beta)).remove)
                stack.callback(member.register_forward_hook(leaving(betas)).remove)
                weights = self.weights or (DENSE if dense else RESIDUAL)
                for number, blocks in enumerate(found):
                    hook = weighting(interpolated(weights, (number + 1) / len(found)))
                    for block in blocks:
                        end = branch_end(block)
                        assert end is not None
                        stack.callback(end.register_forward_hook(hook).remove)
            stack.enter_context(changed_calls({"relu": activation, "relu_": activation}))
            yield model


def entering(betas: list[float], beta: float) -> Callable[[Any, Any], None]:
    return lambda _module, _inputs: betas.append(beta)


def leaving(betas: list[float]) -> Callable[[Any, Any, Any], None]:
    def hook(_module: Any, _inputs: Any, _outputs: Any) -> None:
        betas.pop()

    return hook


def weighting(weight: float) -> Callable[[Any, Any, Tensor], Tensor]:
    return lambda _module, _inputs, output: weight * output


def stages(model: Model) -> list[list[nn.Module]]:
    """Return the residual blocks and dense layers of a network by stage, in the order of its modules."""
    found: list[list[nn.Module]] = []
    before = {
        id(second): first
        for parent in model.modules()
        for first, second in zip(list(parent.children()), list(parent.children())[1:], strict=False)
    }
    for block in model.modules():
        if branch_end(block) is None:
            continue
        follows = bool(found) and before.get(id(block)) is found[-1][-1]
        if follows and not projects(block):
            found[-1].append(block)
        else:
            found.append([block])
    return found


def interpolated(weights: Sequence[float], share: float) -> float:
    """Return the weight at a share of the depth in (0, 1], where the last one is at 1 and there are equal steps."""
    place = max(0.0, share * len(weights) - 1)
    first = min(int(place), len(weights) - 1)
    second = min(first + 1, len(weights) - 1)
    return weights[first] + (place - first) * (weights[second] - weights[first])


def iaa(
    attack: GradientAttack,
    *,
    softplus_beta: Annotated[float, Gt(0)] | None = None,
    stage_weights: list[Share] | None = None,
) -> GradientAttack:
    """Replace ReLU by softplus and weigh the residual branches by stage (Zhu et al., 2022).

    The authors' numbers for other networks: ResNet-152 has beta 32 and weights 0.89, 0.88, 0.70, 0.20. TransferAttack
    starts at random, and calls a method that does not exist on ResNet-50. A network's softplus modules stay.

    Args:
        attack: The attack.
        softplus_beta: The sharpness of softplus; by default 20 for residual networks and 35 for dense ones.
        stage_weights: The weights of the stages; by default those of ResNet-50 or of DenseNet-121.
    """
    # first, because it finds branches only in the network itself, not in what another surrogate yields
    weights = None if stage_weights is None else tuple(stage_weights)
    if weights == ():
        raise ValueError("stage_weights: found none (try a list such as [0.98, 0.87, 0.73, 0.19])")
    return attack.with_surrogates(SmoothWeighted(softplus_beta, weights), *attack.surrogates)


RECIPE = recipe(iaa)
