"""A cache of logits that several jobs of a worker need: those of clean images and of noise."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

from torch import Tensor, nn

KEPT = 8  # entries per network; few suffice, since the attacks on one batch follow each other


class KnownLogits:
    """The logits [n, classes] of the batches that each network classified last. They stay on the device."""

    def __init__(self) -> None:
        self.by_network: WeakKeyDictionary[nn.Module, OrderedDict[Hashable, Tensor]] = WeakKeyDictionary()

    def get(self, network: nn.Module, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """Return the cached logits for a key, or compute them.

        Args:
            network: A network that draws no random numbers and has no state that a forward pass changes.
            key: Everything that the input images depend on.
            compute: Computes the logits if they are not cached.
        """
        kept = self.by_network.setdefault(network, OrderedDict())
        logits = kept[key] = kept.pop(key) if key in kept else compute()  # moved to the end
        if len(kept) > KEPT:
            kept.popitem(last=False)
        return logits
