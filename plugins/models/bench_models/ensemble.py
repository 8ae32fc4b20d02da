"""Several networks attacked as one (Liu et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench_core.errors import Fault, UsageError


class Ensemble(nn.Module):
    """Combine the members' answers to the same images [n, c, h, w] into logits [n, classes].

    `logits`: the mean of the logits. `probabilities`: the logarithm of the mean of the softmax. `losses`: no logits
    have the mean of the members' losses as their loss, whatever the loss; so whoever asks `separately` gets each
    member's [n, members, classes], and whoever does not, the mean of the log-softmax, whose first term in the
    cross-entropy that mean is.
    """

    def __init__(self, members: Sequence[nn.Module], combine: Literal["logits", "probabilities", "losses"]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.combine = combine

    def forward(self, images: Tensor, separately: bool = False) -> Tensor:
        answers = stacked([member(images) for member in self.members])
        if separately:
            return answers.transpose(0, 1)
        if self.combine == "logits":
            return answers.mean(0)
        if self.combine == "probabilities":
            return answers.log_softmax(-1).logsumexp(0) - torch.log(torch.tensor(float(len(self.members))))
        return answers.log_softmax(-1).mean(0)


def stacked(answers: Sequence[Tensor]) -> Tensor:
    """Stack the members' logits [n, classes]. Raises UsageError where they know different numbers of classes."""
    counts = [answer.shape[-1] for answer in answers]
    if len(set(counts)) > 1:
        found = f"found members of {', '.join(map(str, counts))} classes (would do: members of the same classes)"
        raise UsageError(Fault("ensemble", "members", found))
    return torch.stack(list(answers))
