"""Instruments of a network: a cached forward, a counter of the images that pass through it, contiguous gradients."""

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


@contextmanager
def contiguous_gradients(network: nn.Module) -> Iterator[None]:
    """Make gradients in a network's images contiguous, in whatever memory format the network computes.

    A network in the channels-last format, as lean ones are, has gradients that `view` cannot flatten.
    """
    handle = network.register_forward_pre_hook(_with_contiguous_gradient)
    try:
        yield
    finally:
        handle.remove()


def _with_contiguous_gradient(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if not (inputs and isinstance(inputs[0], Tensor) and inputs[0].requires_grad):
        return None
    images = inputs[0].view_as(inputs[0])  # a hook on the attack's tensor would remain after the call
    images.register_hook(torch.Tensor.contiguous)
    return (images, *inputs[1:])
