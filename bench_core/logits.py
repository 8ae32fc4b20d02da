"""Values of logits that attacks, metrics and host share: losses per image and the utility of a coalition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pick(logits: Tensor, classes: Tensor) -> Tensor:
    """Give the entry of each image's class: logits [n, ..., classes], classes [n] -> [n, ...]."""
    index = classes.view(-1, *[1] * (logits.ndim - 1)).expand(*logits.shape[:-1], 1)
    return logits.gather(-1, index).squeeze(-1)


def strongest_other(logits: Tensor, classes: Tensor) -> Tensor:
    """Give the strongest class [n] that is not the given one: logits [n, classes]."""
    return logits.scatter(-1, classes[:, None], -float("inf")).argmax(-1)


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """`-log p_y`, logits [n, ..., classes] -> [n, ...]."""
    return -pick(logits.log_softmax(-1), classes)


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """`max_{y' != y} h_y' - h_y` (arXiv:2010.04055, sec. 3.1), logits [n, ..., classes] -> [n, ...]."""
    index = classes.view(-1, *[1] * (logits.ndim - 1)).expand(*logits.shape[:-1], 1)
    return logits.scatter(-1, index, -float("inf")).amax(-1) - pick(logits, classes)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"cross_entropy": cross_entropy, "margin": margin}
)
