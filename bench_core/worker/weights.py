"""Notices writes to networks that torch does not count, such as those of a metric through `parameter.data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import ContractError
from .watch import Named

_known: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


@contextmanager
def weights_kept(networks: Iterable[Named]) -> Iterator[None]:
    """Compare the weights of networks before and after a block of code, which is done once for each job.

    Args:
        networks: The networks, without those that are known to change in themselves.

    Raises:
        ContractError: The weights of a network differ; with its label.
    """
    networks = list(networks)
    for named in networks:
        if named.network not in _known:
            _known[named.network] = checksum(named.network)
    yield
    for named in networks:
        if checksum(named.network) != _known[named.network]:
            _known.pop(named.network)
            how = "through parameter.data or in another way that torch does not count"
            raise ContractError(f'the parameters or buffers of "{named.label}" were changed, {how}')


def checksum(network: nn.Module) -> int:
    """Return the sum of the bits of all parameters and buffers, which takes as long as reading them once."""
    total = 0
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.layout is torch.strided and tensor.numel():
            total += _sum_of_bits(tensor.int_repr() if tensor.is_quantized else tensor.detach())
    return total


def _sum_of_bits(tensor: Tensor) -> int:
    """Return the sum of a tensor's memory as integers of 8 bytes, the last of which may have fewer."""
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    content = tensor.permute(order).contiguous().view(-1).view(torch.uint8)  # of channels-last weights too, no copy
    whole = len(content) // 8 * 8
    if content.storage_offset() % 8:
        content = content.clone()
    rest = int.from_bytes(bytes(content[whole:].tolist()), "little")  # a sum of bytes misses one that carries another
    return int(content[:whole].view(torch.int64).sum()) + rest
