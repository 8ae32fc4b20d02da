"""Scale invariance (Lin et al., 2020; arXiv:1908.06281)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class ScaledCopies:
    """The copies `x / 2^i` for i from 0 to `count - 1` (eq. 7).

    The gradient goes through the factor, so copy i weighs `2^-i`, as in the authors' code.
    """

    count: int
    through: bool = True

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, _run: RunState) -> Tensor:
        factors = 0.5 ** torch.arange(self.count, device=images.device)
        return images[:, None] * factors.to(images).view(1, -1, 1, 1, 1)


def si(attack: GradientAttack, *, scales: Count = 5) -> GradientAttack:
    """Average the loss over copies of the image with halved pixel values (Lin et al., 2020).

    Args:
        attack: The attack.
        scales: The number of copies, with the image itself.
    """
    return attack.add_views(ScaledCopies(scales))


RECIPE = recipe(si, small={"scales": 3})
