"""Instruments of a network: a cache of its last forward, and a counter of the images that pass through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import batched_forward


class CachedForward(nn.Module):
    """A network that caches its last output, so that metrics that observe the same tensor share one forward.

    A call that needs a gradient is never cached.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.last: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            logits: Tensor = self.network(images)
            return logits
        if self.last is None or self.last[0] is not images:
            self.last = images, batched_forward(self.network, images)
        return self.last[1]

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the network, for metrics that use one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)


class PassCounter:
    """Counts the images that pass through a network, forwards and backwards, within `with counter.counting()`."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.forwards, self.backwards = network, 0, 0

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
