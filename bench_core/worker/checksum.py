"""A checksum of a network's weights, computed on the device that has them: only one number is copied to the host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

ROW = 61  # integers that share a weight; one weight each would take ten times as long on a CPU
LARGE = 2**16  # bytes; smaller tensors are concatenated, since summing each separately would take longer


def checksum(network: nn.Module) -> int:
    """Return a number that changes with the bits of any parameter or buffer. It takes as long as reading them once.

    The bytes are summed as integers of 8 bytes. Each row of `ROW` integers has a different weight, so that the sum also
    changes when filters are permuted.
    """
    by_device: dict[torch.device, list[Tensor]] = defaultdict(list)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.layout is torch.strided and tensor.numel():
            by_device[tensor.device].append(_flat(tensor))
    return sum(int(_weighted_sum(tensors)) for tensors in by_device.values())


def _flat(tensor: Tensor) -> Tensor:
    """Return the bytes of a tensor in memory order, which needs no copy for channels-last weights either."""
    content = tensor.int_repr() if tensor.is_quantized else tensor.detach()
    if not content.is_contiguous():
        content = content.permute(sorted(range(content.ndim), key=content.stride, reverse=True)).contiguous()
    return content.view(-1).view(torch.uint8)


def _weighted_sum(tensors: list[Tensor]) -> Tensor:
    total = torch.zeros((), dtype=torch.int64, device=tensors[0].device)
    for block in _blocks(tensors):
        whole = len(block) // ROW * ROW
        rows = torch.cat([block[:whole].view(-1, ROW).sum(1), block[whole:]])
        weights = 2 * torch.arange(len(rows), device=rows.device) + 1
        total = 31 * total + (rows * weights).sum()
    return total


def _blocks(tensors: list[Tensor]) -> Iterator[Tensor]:
    """Yield the bytes of all tensors as integers of 8 bytes: each large tensor, and then all other bytes together."""
    small = list[Tensor]()
    for tensor in tensors:
        whole = len(tensor) // 8 * 8 if len(tensor) >= LARGE and tensor.storage_offset() % 8 == 0 else 0
        if whole:
            yield tensor[:whole].view(torch.int64)
        small.append(tensor[whole:])
    rest = -sum(map(len, small)) % 8
    yield torch.cat([*small, small[0].new_zeros(rest)]).view(torch.int64)
