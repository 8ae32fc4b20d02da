"""When an image has moved enough and stays where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Budget


@dataclass(frozen=True)
class FullLength:
    """Stop where the perturbation is as long as the L2 budget allows (arXiv:2010.04055, app. H)."""

    def check(self, budget: Budget) -> str | None:
        if budget.norm == "l2":
            return None
        return f'norm: found a budget in {budget.norm}, but this attack ends at an L2 norm (would do: norm = "l2")'

    def reached(self, delta: Tensor, budget: Budget) -> Tensor:
        there: Tensor = delta.flatten(1).norm(dim=1) >= budget.eps
        return there
