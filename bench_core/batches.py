"""How many inputs go through a network at once: as many as are fastest on the device, and never more than fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    from .lazy import torch

Part = TypeVar("Part")

# On a CPU a batch is fastest while its activations stay in the cache; on a GPU, where it fills all multiprocessors.
# `python -m benchmarks.batch_sizes` shows both constants of the CPU against others.
FASTEST = {"cpu": 64, "cuda": 512, "mps": 256}
CACHED = 64 * 28 * 28  # pixels, on a CPU
LEAST = 8  # images, however large
fitting: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # of each network, what fitted where the fastest did not


def at_once(model: nn.Module, images: Tensor) -> int:
    """Give the largest number of inputs of the size of `images` [n, c, h, w] that `model` should get in one pass."""
    kind = images.device.type
    fastest = FASTEST.get(kind, 64)
    if kind == "cpu":
        fastest = min(fastest, max(LEAST, CACHED // images.shape[2:].numel()))
    return fitting.get(model, fastest)


def in_parts(
    compute: Callable[[slice], Part], rows: int, inputs: int, model: nn.Module, images: Tensor
) -> Iterator[Part]:
    """Give `compute(part)` for consecutive parts of `rows` rows, each row with `inputs` inputs like `images`.

    Where the device's memory does not suffice a part is halved and computed again, and later ones are as small: no
    finished part is lost. Raises what `compute` raises, torch's OutOfMemoryError where a single row is too much.
    """
    start = 0
    while start < rows:
        left = rows - start
        parts = -(-left // max(1, at_once(model, images) // inputs))
        size = -(-left // parts)  # all about as large: a small last one would be as dear as a full one
        try:
            part = compute(slice(start, start + size))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        else:
            yield part
            start += size
            continue
        # outside the handler, whose traceback holds on to what did not fit
        fitting[model] = size // 2 * inputs
        if images.device.type == "cuda":
            torch.cuda.empty_cache()


def answered(model: nn.Module, inputs: Tensor) -> Tensor:
    """Give `model(inputs)`, no more at once than is good, where no gradient is wanted."""
    return torch.cat(list(in_parts(lambda rows: model(inputs[rows]), len(inputs), 1, model, inputs)))


def in_passes(answer: Callable[[Tensor], Tensor], inputs: Tensor, model: nn.Module) -> Tensor:
    """Give `answer(inputs)`, through as many passes of about equal size as `at_once` makes of it.

    For inputs whose gradient needs all answers: the way back, too, goes pass by pass, through what is in the cache.
    """
    passes = max(1, round(len(inputs) / at_once(model, inputs)))
    return answer(inputs) if passes == 1 else torch.cat([answer(part) for part in inputs.tensor_split(passes)])
