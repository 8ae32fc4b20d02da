"""Losses and margins per image, computed from logits; shared by attacks, metrics and the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pick(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logit of each image's class.

    Args:
        logits: Logits [n, ..., classes].
        classes: Class of each image, int64 [n].

    Returns:
        Logits [n, ...].
    """
    index = classes.view(-1, *[1] * (logits.ndim - 1)).expand(*logits.shape[:-1], 1)
    return logits.gather(-1, index).squeeze(-1)


def strongest_other(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the class with the largest logit other than the given one.

    Args:
        logits: Logits [n, classes].
        classes: Class of each image to leave out, int64 [n].

    Returns:
        Classes, int64 [n].
    """
    return logits.scatter(-1, classes[:, None], -float("inf")).argmax(-1)


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute the cross-entropy `-log p_y` of each image.

    Args:
        logits: Logits [n, ..., classes].
        classes: Class y of each image, int64 [n].

    Returns:
        Losses [n, ...], in nats.
    """
    return -pick(logits.log_softmax(-1), classes)


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute the margin `max_{y' != y} h_y' - h_y` of each image (arXiv:2010.04055, sec. 3.1).

    Args:
        logits: Logits h [n, ..., classes].
        classes: Class y of each image, int64 [n].

    Returns:
        Margins [n, ...], in logits; positive where another class has the largest logit.
    """
    index = classes.view(-1, *[1] * (logits.ndim - 1)).expand(*logits.shape[:-1], 1)
    return logits.scatter(-1, index, -float("inf")).amax(-1) - pick(logits, classes)


def lowered_logit(logits: Tensor, classes: Tensor) -> Tensor:
    """Return minus the logit of each image's class, [n, ...] from [n, ..., classes] (arXiv:2012.11207, eq. 6)."""
    return -pick(logits, classes)


def lowered_probability(logits: Tensor, classes: Tensor) -> Tensor:
    """Return minus the softmax probability of each image's class, [n, ...] from [n, ..., classes]."""
    return -pick(logits.softmax(-1), classes)


def margin_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute the cross-entropy of logits divided by the lead of the largest one (arXiv:2303.03680, sec. 3.2).

    The lead is the difference of the two largest logits, without a gradient. It does not saturate.

    Args:
        logits: Logits [n, ..., classes].
        classes: Class of each image, int64 [n].

    Returns:
        Losses [n, ...], in nats.
    """
    first, second = logits.detach().topk(2, dim=-1).values.unbind(-1)
    return cross_entropy(logits / (first - second).clamp(min=1e-6)[..., None], classes)


# by the names that the key `loss` of a suite accepts
LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "cross_entropy": cross_entropy,
        "margin": margin,
        "logit": lowered_logit,
        "probability": lowered_probability,
        "logit_margin": margin_cross_entropy,
    }
)
