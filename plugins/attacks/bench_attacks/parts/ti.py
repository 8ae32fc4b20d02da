"""Translation invariance (Dong et al., 2019; arXiv:1904.02884)."""

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
class TranslationKernel:
    """Convolve each channel of the gradient with a Gaussian kernel. Outside the image the gradient is zero.

    The kernel has `side` x `side` pixels, `side` odd, and extends to 3 standard deviations on each side.
    """

    side: int

    def init(self, _images: Tensor) -> None:
        return None

    def update(self, gradient: Tensor, _state: None, _run: RunState) -> tuple[Tensor, None]:
        weights = (-(torch.linspace(-3, 3, self.side, dtype=torch.float64) ** 2) / 2).exp()
        kernel, padding = (weights / weights.sum()).to(gradient), self.side // 2
        planes = gradient.flatten(0, 1)[:, None]
        planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, -1, 1), padding=(padding, 0))
        planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, 1, -1), padding=(0, padding))
        return planes.view_as(gradient), None


def ti(attack: GradientAttack, *, kernel: Count = 15) -> GradientAttack:
    """Smooth the gradient with a Gaussian kernel, before any momentum (Dong et al., 2019).

    Args:
        attack: The attack.
        kernel: The side of the kernel in pixels, odd.
    """
    if kernel % 2 == 0:
        raise ValueError(f"kernel: found {kernel} (try an odd number of pixels)")
    return attack.with_filters(TranslationKernel(kernel), *attack.filters)


RECIPE = recipe(ti, small={"kernel": 5})
