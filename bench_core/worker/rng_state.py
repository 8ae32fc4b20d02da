"""Networks that draw: a randomised defence has the global generators of a stream of its own, seeded for each job.

So its draws are the same whoever computes, and no attack is blamed for them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

_drawing: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


class States:
    """Where the generators of torch, NumPy and Python stand."""

    def __init__(self) -> None:
        self.torch = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self.numpy: Any = np.random.get_state()
        self.python = random.getstate()

    def restore(self) -> None:
        torch.set_rng_state(self.torch)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, States) and (
            torch.equal(self.torch, other.torch)
            and all(map(torch.equal, self.cuda or (), other.cuda or ()))
            and all(np.array_equal(a, b) for a, b in zip(self.numpy, other.numpy, strict=True))
            and self.python == other.python
        )

    __hash__ = None  # type: ignore[assignment]


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def draws(network: nn.Module, image: Tensor) -> bool:
    """Say whether a network's forward of `image` [1, ...] moves a global generator; asked once of each network."""
    if network not in _drawing:
        before = States()
        try:
            network(image)
        finally:
            _drawing[network] = States() != before
            before.restore()
    return _drawing[network]


@contextmanager
def own_draws(networks: Iterable[nn.Module], image: Tensor, seed: int) -> Iterator[None]:
    """Within this, every network that draws does so from generators of its own; the process's own never move."""
    with ExitStack() as stack:
        for network in {id(each): each for each in networks}.values():
            if draws(network, image):
                apart = _Apart(seed)
                stack.callback(network.register_forward_pre_hook(apart.enter).remove)
                stack.callback(network.register_forward_hook(apart.leave, always_call=True).remove)
        yield


class _Apart:
    def __init__(self, seed: int) -> None:
        self.outside = States()
        seed_all(seed)
        self.own = States()
        self.outside.restore()

    def enter(self, _module: nn.Module, _inputs: Any) -> None:
        self.outside = States()
        self.own.restore()

    def leave(self, _module: nn.Module, _inputs: Any, _logits: Any) -> None:
        self.own = States()
        self.outside.restore()
