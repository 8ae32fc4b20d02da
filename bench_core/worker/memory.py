"""How many images a worker computes at once, so that it stays below a limit of memory (`--memory`).

The number is a function of the limit and of the job, not of what is free at the moment, so that workers of equal limits
compute the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ..batches import fitting
from ..errors import Fault, UsageError
from .build import KEPT_SHARE
from .guard import TorchSettings
from .rng_state import RandomStates
from .watch import Named

# Measured by `python -m benchmarks.memory`.
PROCESS = 800 * 2**20  # of a worker without networks: torch, the plugins, and what its allocator does not reuse
CLEAN_COPIES, ATTACK_COPIES = 4, 12  # of the images of a job; every target keeps one more
LARGEST = 2  # the largest activations that exist beside those that are kept: a gradient, and what it becomes

_footprints: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], int]] = WeakKeyDictionary()


@contextmanager
def within(limit: int | None, named: Iterable[Named], members: Collection[str], images: Tensor) -> Iterator[None]:
    """Let batches be small enough for a limit, within a block.

    Args:
        limit: The bytes that the worker may take; None for no limit.
        named: The networks of the job.
        members: The labels of those that are attacked, all at once.
        images: The images [n, c, h, w] of the job.

    Raises:
        UsageError: if the gradient of a single image does not fit.
    """
    if limit is None:
        yield
        return
    networks = {each.label: each.network for each in named if not each.part}
    footprints = {label: footprint(network, images[:1]) for label, network in networks.items()}
    largest = max([sum(footprints[label] for label in members), *footprints.values()])
    weights = weights_of(networks.values())
    copies = (ATTACK_COPIES if members else CLEAN_COPIES) + len(networks)
    other = PROCESS + copies * images.nbytes
    least = max(other + weights + largest, int((other + largest) / (1 - KEPT_SHARE)))
    if least > limit:
        found = f"{limit / 2**20:.0f} MiB is too little to attack {'+'.join(members or networks)}"
        raise UsageError(Fault("--memory", "", f"{found} (try {math.ceil(least / 2**20)}M)"))
    space = limit - other - max(weights, int(KEPT_SHARE * limit))
    with fitting({network: max(1, space // footprints[label]) for label, network in networks.items()}):
        yield


def footprint(network: nn.Module, image: Tensor) -> int:
    """Return the bytes that the gradient of one image takes: what autograd keeps, and the largest of it again.

    A network that fails takes nothing: the job will find out why. Random states are put back.

    Args:
        network: The network.
        image: An image [1, c, h, w].
    """
    known = _footprints.setdefault(network, {})
    shape = tuple(image.shape)
    if shape not in known:
        known[shape] = max(image.nbytes, _measured(network, image))
    return known[shape]


def _measured(network: nn.Module, image: Tensor) -> int:
    kept: dict[int, int] = {}
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    alive: list[Tensor] = []  # so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            alive.append(tensor.detach())
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    settings, states = TorchSettings.current(), RandomStates()
    try:
        with suppress(Exception), torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
            network(image.clone().requires_grad_(True))
    finally:
        settings.restore()
        states.restore()
    return sum(kept.values()) + LARGEST * max(kept.values(), default=0)


def weights_of(networks: Iterable[nn.Module]) -> int:
    """Return the bytes of all parameters and buffers; a network that is part of two counts once."""
    tensors = (tensor for network in networks for tensor in (*network.parameters(), *network.buffers()))
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())
