"""Stop each image at its first success (arXiv:2103.07364, sec. 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples


@dataclass(frozen=True)
class Fooled:
    """The goal that the network predicts a wrong class, or in a targeted attack the target class."""

    uses_clean: bool = False

    def side(self, logits: Tensor, _clean: Tensor | None, examples: Examples) -> Tensor:
        predicted = logits.argmax(1)
        fooled = predicted != examples.labels if examples.targets is None else predicted == examples.targets
        return fooled.float() - 1

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        return {"reached": self.side(logits, clean, examples) == 0}


def until_success(attack: GradientAttack) -> GradientAttack:
    """Stop each image as soon as it is misclassified, or has the target class (arXiv:2103.07364, sec. 4.3)."""
    return attack.set_once(goal=Fooled())


RECIPE = recipe(until_success)
