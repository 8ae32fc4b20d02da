"""Notices writes to networks that torch does not count, such as those of a metric through `parameter.data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

from ..errors import ContractError
from .checksum import checksum
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
