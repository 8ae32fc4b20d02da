"""Logits that several jobs of a worker need: of clean images and of noise, which no attack changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

from torch import Tensor, nn

KEPT = 8  # of a network: batches and budgets, since the attacks on one batch follow each other


class KnownLogits:
    """The logits [n, classes] of the last few batches that each network was asked about. They stay on the device."""

    def __init__(self) -> None:
        self.by_network: WeakKeyDictionary[nn.Module, OrderedDict[Hashable, Tensor]] = WeakKeyDictionary()

    def get(self, network: nn.Module, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """Return the logits of what `key` names, computed unless they are kept.

        Args:
            network: A network that neither draws random numbers nor changes in itself.
            key: Everything that the images depend on.
            compute: Computes the logits.
        """
        kept = self.by_network.setdefault(network, OrderedDict())
        logits = kept[key] = kept.pop(key) if key in kept else compute()  # now the last
        if len(kept) > KEPT:
            kept.popitem(last=False)
        return logits
