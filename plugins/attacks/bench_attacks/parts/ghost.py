"""Ghost networks (Li et al., 2020; arXiv:1812.03413)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Lt

from bench_core.types import Rejection

from ..branches import branch_end, residual_blocks
from ..compose import Share, recipe
from ..gradient_attack import GradientAttack
from ..members import members_of
from ..taps import units

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench_core.types import Model

    from ..run_state import RunState


Hook = Callable[..., Any]


@dataclass(frozen=True)
class GhostNetwork:
    """A network that differs at each query, for each image and each of its points.

    In a residual network, each block `y = shortcut(x) + f(x)` becomes `y = s * shortcut(x) + f(x)` with s from
    U(1 - spread, 1 + spread), one number for each channel (skip connection erosion). In any other network, the output z
    of each block or convolution becomes `r * z / (1 - dropout)`, where each number of r is 0 with the probability
    `dropout` and else 1 (dropout erosion).
    """

    spread: float
    dropout: float
    forwards: ClassVar[int] = 0
    by_row: ClassVar[bool] = True

    def check(self, model: Model) -> Rejection | None:
        if all(residual_blocks(member) or units(member) for member in members_of(model)):
            return None
        found = f"the source {type(model).__name__} has no blocks and no convolutions that are recognised"
        return Rejection("spread", f"{found} (try a convolutional network or a transformer)")

    @contextmanager
    def apply(self, model: Model, run: RunState) -> Iterator[Model]:
        with ExitStack() as hooks:
            number = 0
            for member in members_of(model):
                blocks = residual_blocks(member)
                for module in blocks or units(member):
                    draw = Draws(run, f"ghost {number}")
                    number += 1
                    if blocks:
                        self._scale_shortcut(module, draw, hooks)
                    else:
                        hooks.callback(module.register_forward_hook(self._dropout(draw)).remove)
            yield model

    def _dropout(self, draw: Draws) -> Hook:
        def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
            return output * (draw(output, output.shape[1:]) >= self.dropout) / (1 - self.dropout)

        return hook

    def _scale_shortcut(self, block: nn.Module, draw: Draws, hooks: ExitStack) -> None:
        """Scale the output of the shortcut's module; without one, add what is missing to the branch's output."""

        def factors(features: Tensor) -> Tensor:
            return 1 + self.spread * (2 * draw(features, (features.shape[1], 1, 1)) - 1)

        shortcut = getattr(block, "shortcut", getattr(block, "downsample", None))
        if shortcut is not None:
            hooks.callback(shortcut.register_forward_hook(lambda _m, _i, output: factors(output) * output).remove)
            return
        entered: list[Tensor] = []

        def enter(_module: Any, inputs: tuple[Any, ...]) -> None:
            entered.append(inputs[0])

        def leave(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
            features = entered.pop()
            return output + (factors(features) - 1) * features

        end = branch_end(block)
        assert end is not None
        hooks.callback(block.register_forward_pre_hook(enter).remove)
        hooks.callback(end.register_forward_hook(leave).remove)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one layer."""

    run: RunState
    purpose: str

    def __call__(self, features: Tensor, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers [rows, *shape] for features of image-major rows."""
        points = len(features) // len(self.run.clean)
        return self.run.repeated(points).rng.uniform(self.purpose, shape)


def ghost(
    attack: GradientAttack, *, spread: Share = 0.22, dropout: Annotated[float, Ge(0), Lt(1)] = 0.006
) -> GradientAttack:
    """Draw a changed network at each step: scaled shortcuts, or dropout (Li et al., 2020).

    This is the paper's longitudinal ensemble. Its code draws once for a whole batch; here each image, block and channel
    has numbers of its own. A block whose shortcut is a projection is scaled too. TransferAttack has ResNet-101 and
    ResNet-152 only, and options that nothing reads.

    Args:
        attack: The attack.
        spread: The largest change of a shortcut: 0.22 for ResNet-50, 0.16 for ResNet-101, 0.12 for ResNet-152.
        dropout: The probability that a feature is dropped, in a network without residual blocks.
    """
    # first, because it finds blocks only in the network itself, not in what another surrogate yields
    return attack.with_surrogates(GhostNetwork(spread, dropout), *attack.surrogates)


RECIPE = recipe(ghost)
