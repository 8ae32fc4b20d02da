"""The classification loss, which most attacks ascend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.logits import LOSSES

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, LossName

    from .kinds import TermInputs
    from .run_state import RunState


def classification_loss(loss: LossName, logits: Tensor, examples: Examples) -> Tensor:
    """Compute what an attack maximises: the loss of the true class, or minus the loss of the target class.

    Args:
        loss: The name of the loss, a key of `bench_core.logits.LOSSES`.
        logits: [n, ..., classes].
        examples: The labels, and the targets of a targeted attack, [n].

    Returns:
        One value for each output, [n, ...].
    """
    if examples.targets is None:
        return LOSSES[loss](logits, examples.labels)
    return -LOSSES[loss](logits, examples.targets)


@dataclass(frozen=True)
class Loss:
    """The classification loss at the current image."""

    loss: LossName
    count: int = 0
    uses_image: bool = True
    uses_clean: bool = False

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def points(self, _images: Tensor, _run: RunState) -> None:
        return None

    def value(self, inputs: TermInputs, examples: Examples) -> Tensor:
        assert inputs.image is not None
        return classification_loss(self.loss, inputs.image, examples)
