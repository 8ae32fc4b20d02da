"""The classification loss, which most attacks ascend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.logits import LOSSES

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, LossName

    from .messages import Outputs


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
class ClassificationLoss:
    """A loss of the logits, by its name in a suite."""

    name: LossName

    def value(self, outputs: Outputs, examples: Examples) -> Tensor:
        return classification_loss(self.name, outputs.logits, examples)
