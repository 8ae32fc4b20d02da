"""Adam (Kingma and Ba, 2015; arXiv:1412.6980, algorithm 1), as a pure function of its state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch

DECAYS = (0.9, 0.999)
SMALLEST = 1e-8


@dataclass(frozen=True)
class Adam:
    """The two moments of the gradients so far, and their number."""

    first: Tensor
    second: Tensor
    count: int = 0

    @classmethod
    def init(cls, like: Tensor) -> Adam:
        return cls(torch.zeros_like(like), torch.zeros_like(like))

    def update(self, gradient: Tensor) -> tuple[Tensor, Adam]:
        """Return the descent direction, to be multiplied by the step size, and the next state."""
        count, (slow, slower) = self.count + 1, DECAYS
        first = slow * self.first + (1 - slow) * gradient
        second = slower * self.second + (1 - slower) * gradient.square()
        deviation = second.sqrt() / math.sqrt(1 - slower**count) + SMALLEST
        return -first / (1 - slow**count) / deviation, Adam(first, second, count)
