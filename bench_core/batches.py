"""How many inputs go through a network at once: as many as are fastest on the device, and never more than fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch
    from torch import nn
else:
    from .lazy import torch

Part = TypeVar("Part")

# On a CPU a batch is fastest while its activations stay in the cache; on a GPU, where it fills all multiprocessors.
FASTEST = {"cpu": 64, "cuda": 512, "mps": 256}
fitting: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # of each network, what fitted where the fastest did not


def at_once(model: nn.Module, device: torch.device) -> int:
    """Give the largest number of inputs that `model` should get in one pass."""
    return fitting.get(model, FASTEST.get(device.type, 64))


def in_parts(
    compute: Callable[[slice], Part], rows: int, inputs: int, model: nn.Module, device: torch.device
) -> Iterator[Part]:
    """Give `compute(part)` for consecutive parts of `rows` rows, each row with `inputs` inputs for `model`.

    Where the device's memory does not suffice a part is halved and computed again, and later ones are as small: no
    finished part is lost. Raises what `compute` raises, torch's OutOfMemoryError where a single row is too much.
    """
    start = 0
    while start < rows:
        size = max(1, at_once(model, device) // inputs)
        try:
            part = compute(slice(start, min(start + size, rows)))
        except torch.OutOfMemoryError:
            size = min(size, rows - start)
            if size == 1:
                raise
        else:
            yield part
            start += size
            continue
        # outside the handler, whose traceback holds on to what did not fit
        fitting[model] = size // 2 * inputs
        if device.type == "cuda":
            torch.cuda.empty_cache()
