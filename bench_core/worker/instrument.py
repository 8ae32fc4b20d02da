"""A network as the host hands it on: it remembers its last answer, and its passes are counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import answered


class Remembering(nn.Module):
    """A network that answers a second question about the same tensor from memory: metrics share forwards."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.last: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            out: Tensor = self.network(images)
            return out
        if self.last is None or self.last[0] is not images:
            self.last = images, answered(self.network, images)
        return self.last[1]

    def __getattr__(self, name: str) -> Any:
        """Give what the network itself has: a metric that knows its kind is to find it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)


class Passes:
    """Counts images through a network, forwards and backwards, while it is entered."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.forwards, self.backwards = network, 0, 0
        self.returned: Mapping[str, Tensor] = {}  # what the attack itself says at its end

    def _count(self, _module: nn.Module, _inputs: Any, logits: Tensor) -> None:
        self.forwards += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)

    @contextmanager
    def counting(self) -> Iterator[None]:
        handle = self.network.register_forward_hook(self._count)
        try:
            yield
        finally:
            handle.remove()
