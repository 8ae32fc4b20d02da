"""Logits of a network, or of each member of an ensemble whose losses are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_core.batches import in_parts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


def averages_losses(model: Model) -> bool:
    """Return whether a network is an ensemble that averages its members' losses, not their outputs."""
    return getattr(model, "combine", None) == "losses"


def members_of(model: Model) -> list[Model]:
    """Return the networks that an ensemble is made of, or the network itself."""
    return list(model.members) if hasattr(model, "combine") else [model]  # type: ignore[arg-type]


def member_logits(model: Model, images: Tensor, by_member: bool) -> Tensor:
    """Return logits [n, members, classes]; without `by_member` the network counts as one member."""
    logits: Tensor = model(images, separately=True) if by_member else model(images)[:, None]
    return logits


def plain_member_logits(model: Model, images: Tensor) -> Tensor:
    """Return logits [n, members, classes] without a graph."""
    by_member = averages_losses(model)
    with torch.no_grad():
        parts = in_parts(lambda rows: member_logits(model, images[rows], by_member), len(images), 1, model, images)
        return torch.cat(list(parts))


def combined(logits: Tensor) -> Tensor:
    """Combine the logits of the members [n, members, classes] into logits [n, classes], as the ensemble itself does.

    The result is the mean of the members' log-probabilities; a single member's logits are unchanged.
    """
    return logits[:, 0] if logits.shape[1] == 1 else logits.log_softmax(-1).mean(1)


def plain_logits(model: Model, images: Tensor) -> Tensor:
    """Return the logits [n, classes] of a network, or of an ensemble as one network, without a graph."""
    return combined(plain_member_logits(model, images))
