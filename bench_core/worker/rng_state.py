"""Saves and restores the global random generators, and swaps their states while a randomised network runs.

A randomised defence draws from the global generators. In a job, each such network has a separate stream with the job's
seed, so that its draws are the same on every worker and are not mistaken for draws of an attack.
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

_randomised: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


class RandomStates:
    """The states of the global generators of torch (CPU and CUDA), NumPy and Python."""

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

    def differing(self, other: RandomStates) -> list[str]:
        """Return the names of the generators whose states differ."""
        same = {
            "torch's global random state": torch.equal(self.torch, other.torch),
            "CUDA's global random state": all(map(torch.equal, self.cuda or (), other.cuda or ())),
            "NumPy's global random state": all(
                np.array_equal(a, b) for a, b in zip(self.numpy, other.numpy, strict=True)
            ),
            "Python's global random state": self.python == other.python,
        }
        return [name for name, equal in same.items() if not equal]


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def is_randomised(network: nn.Module, image: Tensor) -> bool:
    """Return whether a forward of `image` [1, ...] draws from a global generator; computed once for each network."""
    if network not in _randomised:
        before = RandomStates()
        try:
            network(image)
        finally:
            _randomised[network] = bool(RandomStates().differing(before))
            before.restore()
    return _randomised[network]


@contextmanager
def separate_streams(networks: Iterable[nn.Module], image: Tensor, seed: int) -> Iterator[None]:
    """Let every randomised network draw from a separate stream, so that the global generators do not advance."""
    with ExitStack() as stack:
        for network in {id(network): network for network in networks}.values():
            if is_randomised(network, image):
                stream = _SeparateStream(seed)
                stack.callback(network.register_forward_pre_hook(stream.enter).remove)
                stack.callback(network.register_forward_hook(stream.leave, always_call=True).remove)
        yield


class _SeparateStream:
    """Replaces the global random states while a network's forward runs, and keeps its own for the next forward."""

    def __init__(self, seed: int) -> None:
        self.outside = RandomStates()
        seed_all(seed)
        self.own = RandomStates()
        self.outside.restore()

    def enter(self, _module: nn.Module, _inputs: Any) -> None:
        self.outside = RandomStates()
        self.own.restore()

    def leave(self, _module: nn.Module, _inputs: Any, _logits: Any) -> None:
        self.own = RandomStates()
        self.outside.restore()
