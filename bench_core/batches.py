"""Passes in batches of the size that is fastest on the device, smaller where memory is limited or runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
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
_fitting: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # by model: the inputs that a limit leaves room for
_repeats: list[
    None
] = []  # one entry while a forward is repeated; not a context variable, as a GPU has autograd threads


@contextmanager
def fitting(inputs: Mapping[Any, int]) -> Iterator[None]:
    """Limit how many inputs of each network are in memory at once, within a block.

    Args:
        inputs: By network: how many inputs have room for the gradient with respect to them, at least 1.
    """
    _fitting.update(inputs)
    try:
        yield
    finally:
        _fitting.clear()


def room(model: Any) -> int | None:
    """Return how many inputs of a model have room; None without a limit. The members of an ensemble share the room."""
    if not _fitting:
        return None
    if model not in _fitting:
        inner = [_fitting[module] for module in model.modules() if module in _fitting]
        return max(1, int(1 / sum(1 / inputs for inputs in inner))) if inner else min(_fitting.values())
    return _fitting[model]


def recomputing() -> bool:
    """Return whether the forward that runs repeats an earlier one, since memory is limited. It is no further pass."""
    return bool(_repeats)


@contextmanager
def _repeating() -> Iterator[None]:
    _repeats.append(None)
    try:
        yield
    finally:
        _repeats.pop()


def at_once(model: nn.Module, images: Tensor, limited: bool = True) -> int:
    """Return the batch size to use for a model.

    Args:
        model: The network; a model that ran out of memory before gets the size that fitted, and in a worker whose
            memory is limited (`--memory`) none gets more than have room.
        images: Images [n, c, h, w] of the size and on the device in question; n does not matter.
        limited: Whether a limit of memory counts.

    Returns:
        The largest number of images to pass at once.
    """
    kind = images.device.type
    fastest = FASTEST.get(kind, 64)
    if kind == "cpu":
        fastest = min(fastest, max(MIN_IMAGES, CACHED_PIXELS // images.shape[2:].numel()))
    return min(_reduced.get(model, fastest), (room(model) if limited else None) or fastest)


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


def in_passes(answer: Callable[[Tensor], Tensor], inputs: Tensor, model: nn.Module, repeatable: bool = False) -> Tensor:
    """Compute `answer(inputs)` in batches of about equal size, where a gradient through all outputs is needed.

    Because the forward pass is split, so is the backward pass, and the activations of each batch stay in the cache. The
    activations of all batches are in memory at the end of the forward pass. Where memory is limited, those of the
    batches that do not fit are computed again in the backward pass, to the same bits.

    Args:
        answer: Maps inputs [m, c, h, w] to outputs [m, ...].
        inputs: Images [n, c, h, w].
        model: The network that `answer` calls.
        repeatable: Whether `answer` may be called again, since nothing else sees its calls.

    Returns:
        Outputs [n, ...].
    """
    passes = max(1, round(len(inputs) / at_once(model, inputs)))
    if passes == 1:
        return answer(inputs)
    parts = inputs.tensor_split(passes)
    fits = room(model) if repeatable and inputs.requires_grad and torch.is_grad_enabled() else None
    # the last ones are kept, which the backward pass needs first
    kept = passes if fits is None else max(1, fits // len(parts[0]))
    first = max(0, passes - kept)
    again = [_checkpointed(answer, part) for part in parts[:first]]
    return torch.cat([*again, *map(answer, parts[first:])])


def _checkpointed(answer: Callable[[Tensor], Tensor], part: Tensor) -> Tensor:
    """Return `answer(part)` without its activations, which the backward pass computes again."""
    from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

    with set_checkpoint_early_stop(False):  # so that the hooks of networks see whole calls
        result: Tensor = checkpoint(answer, part, use_reentrant=False, context_fn=lambda: (nullcontext(), _repeating()))
    return result
