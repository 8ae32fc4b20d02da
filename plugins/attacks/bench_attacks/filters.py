"""What is done to a gradient before the step: momentum, and the translation-invariant kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .balls import per_image, unit

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Momentum:
    """`g <- decay * g + gradient / norm_1(gradient)` (Dong et al., 2018), each image's own; a gradient of zero leaves
    `g` as it is. With the decay "average", `g <- (t-1)/t * g + 1/t * gradient` for the t-th that is not zero, the mean
    of all of those so far (arXiv:2010.04055, eq. 33)."""

    decay: float | Literal["average"]

    def start(self) -> Callable[[Tensor, int], Tensor]:
        memory: Tensor | None = None
        met: Tensor | int = 0  # how many gradients of each image were not zero

        def accumulate(gradient: Tensor, _step: int) -> Tensor:
            nonlocal memory, met
            before = torch.zeros_like(gradient) if memory is None else memory
            direction = unit(gradient)  # first to a safe size: a norm of tiny numbers underflows
            length = per_image(direction.flatten(1).abs().sum(1), gradient)
            met = met + (length > 0).to(gradient)
            if self.decay == "average":
                count = met.clamp(min=1)
                fresh = (count - 1) / count * before + gradient / count
            else:
                fresh = self.decay * before + direction / length.where(length > 0, 1)
            memory = fresh.where(length > 0, before)
            return memory

        return accumulate


@dataclass(frozen=True)
class TranslationKernel:
    """The gradient convolved, channel by channel, with a Gaussian kernel of `side` x `side` pixels over +-3 standard
    deviations (Dong et al., 2019), zero outside the image."""

    side: int

    def start(self) -> Callable[[Tensor, int], Tensor]:
        places = torch.linspace(-3, 3, self.side, dtype=torch.float64)
        weights = (-(places**2) / 2).exp()
        line = weights / weights.sum()

        def smooth(gradient: Tensor, _step: int) -> Tensor:
            kernel, reach = line.to(gradient), self.side // 2
            planes = gradient.flatten(0, 1)[:, None]
            planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, -1, 1), padding=(reach, 0))
            planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, 1, -1), padding=(0, reach))
            return planes.view_as(gradient)

        return smooth
