"""Patch-wise steps (Gao et al., 2020; arXiv:2007.06765)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from bench_core.types import Rejection

from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Budget

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class PatchWise:
    """Long steps, of which what is outside the ball is handed to the pixels around (algorithm 1).

    `a <- a + b * step * sign(g)`; `c = max(|a| - eps, 0) * sign(a)`; `p = gamma * sign(K * c)`; `a <- a + p`; the image
    moves by `b * step * sign(g) + p`. K has 3 x 3 equal entries of sum 1, with 0 in the centre.
    """

    eps: float
    amplification: float
    gamma: float

    def check(self, budget: Budget) -> Rejection | None:
        if budget.norm == "linf":
            return None
        return Rejection("norm", f'found {budget.norm}, but its cut noise is that of a box (try norm = "linf")')

    def init(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images)

    def move(
        self, direction: Tensor, length: float | Tensor, amplified: Tensor, _run: RunState
    ) -> tuple[Tensor, Tensor]:
        step = self.amplification * length * direction
        amplified = amplified + step
        cut = (amplified.abs() - self.eps).clamp(min=0) * amplified.sign()
        handed = self.gamma * around(cut).sign()
        return step + handed, amplified + handed


def around(values: Tensor) -> Tensor:
    """Return the mean over the 8 neighbours of each pixel [n, c, h, w]; outside the image there is 0."""
    height, width = values.shape[-2:]
    padded = torch.nn.functional.pad(values, (1, 1, 1, 1))
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    return torch.stack([padded[..., i : i + height, j : j + width] for i, j in shifts]).sum(0) / 8


def pi(
    attack: GradientAttack,
    *,
    amplification: Annotated[float, Gt(0)] = 10.0,
    projection: Annotated[float, Gt(0)] = 1.0,
) -> GradientAttack:
    """Take long steps and hand what leaves the ball to the pixels around (Gao et al., 2020).

    The paper's gamma is 16/255, its eps; here it grows with eps (`projection`), where TransferAttack keeps 16/255.
    TransferAttack also runs in L2, where it cuts at eps for each pixel; here that is refused.

    Args:
        attack: The attack.
        amplification: The length of a step, in units of the budget's step.
        projection: The length of what is handed on, in units of the budget's eps.
    """
    eps = attack.budget.eps
    return attack.set_once(step_rule=PatchWise(eps, amplification, projection * eps))


RECIPE = recipe(pi)
