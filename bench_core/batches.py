"""Forward passes in batches of the size that is fastest on the device, halved if memory runs out."""

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

# On a CPU a batch is fastest while its activations stay in the cache; on a GPU, once it fills all multiprocessors.
# `python -m benchmarks.batch_sizes` compares both constants of the CPU with others.
FASTEST = {"cpu": 64, "cuda": 512, "mps": 256}
CACHED_PIXELS = 64 * 28 * 28  # per batch, on a CPU
MIN_IMAGES = 8  # per batch on a CPU, however large the images

_reduced: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # by model: the batch size that fits, once memory ran out


def at_once(model: nn.Module, images: Tensor) -> int:
    """Return the batch size to use for a model.

    Args:
        model: The network; a model that ran out of memory before gets the size that fitted.
        images: Images [n, c, h, w] of the size and on the device in question; n does not matter.

    Returns:
        The largest number of images to pass at once.
    """
    kind = images.device.type
    fastest = FASTEST.get(kind, 64)
    if kind == "cpu":
        fastest = min(fastest, max(MIN_IMAGES, CACHED_PIXELS // images.shape[2:].numel()))
    return _reduced.get(model, fastest)


def in_parts(
    compute: Callable[[slice], Part], rows: int, inputs: int, model: nn.Module, images: Tensor
) -> Iterator[Part]:
    """Yield the results of a computation, batch by batch.

    If memory runs out, the batch is halved and computed again, and later batches keep the smaller size; finished
    batches are kept.

    Args:
        compute: Computes the rows of a slice.
        rows: Total number of rows.
        inputs: Number of model inputs per row.
        model: The network that `compute` calls.
        images: Images [n, c, h, w] of the size and on the device of the inputs.

    Yields:
        `compute(part)` for consecutive slices of about equal length.

    Raises:
        torch.OutOfMemoryError: If a single row does not fit.
        Exception: Whatever `compute` raises.
    """
    start = 0
    while start < rows:
        remaining = rows - start
        parts = -(-remaining // max(1, at_once(model, images) // inputs))
        size = -(-remaining // parts)  # of equal size: a small last batch would cost as much as a full one
        try:
            part = compute(slice(start, start + size))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        else:
            yield part
            start += size
            continue
        # outside the handler, because the traceback keeps the tensors of the failed batch alive
        _reduced[model] = size // 2 * inputs
        if images.device.type == "cuda":
            torch.cuda.empty_cache()


def batched_forward(model: nn.Module, inputs: Tensor) -> Tensor:
    """Compute `model(inputs)` batch by batch, where no gradient is needed.

    Args:
        model: The network.
        inputs: Images [n, c, h, w].

    Returns:
        Outputs of the model, [n, ...].
    """
    return torch.cat(list(in_parts(lambda rows: model(inputs[rows]), len(inputs), 1, model, inputs)))


answered = batched_forward  # its former name, kept for plugins


def in_passes(answer: Callable[[Tensor], Tensor], inputs: Tensor, model: nn.Module) -> Tensor:
    """Compute `answer(inputs)` in batches of about equal size, where a gradient through all outputs is needed.

    Because the forward pass is split, so is the backward pass, and the activations of each batch stay in the cache.

    Args:
        answer: Maps inputs [m, c, h, w] to outputs [m, ...].
        inputs: Images [n, c, h, w].
        model: The network that `answer` calls.

    Returns:
        Outputs [n, ...].
    """
    passes = max(1, round(len(inputs) / at_once(model, inputs)))
    return answer(inputs) if passes == 1 else torch.cat([answer(part) for part in inputs.tensor_split(passes)])
