"""A network beside which an attacker has another one in full."""

from __future__ import annotations

from torch import Tensor, nn


class WithSurrogate(nn.Module):
    """The network `base`: images [n, c, h, w] -> logits [n, classes]. Attacks find the other one as `surrogate`."""

    def __init__(self, base: nn.Module, surrogate: nn.Module) -> None:
        super().__init__()
        self.base, self.surrogate = base, surrogate

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.base(images)
        return logits
