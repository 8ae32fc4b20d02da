"""Several networks attacked as one (Liu et al., 2017; arXiv:1611.02770)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench_core.errors import Fault, UsageError


class Ensemble(nn.Module):
    """Combine the members' logits for the same images [n, c, h, w] into logits [n, classes].

    Args:
        members: Networks with the same classes.
        combine: "logits" is the mean of the logits. "probabilities" is the logarithm of the mean of the softmax.
            "losses" is for attacks on the mean of the members' losses. No combined logits have this mean under every
            loss, so an attack takes each member's logits (`forward(images, separately=True)`). The combined logits are
            the mean of the members' log-softmax. Minus the entry of a class is the mean of the members' cross-entropies
            for it. The entries are not normalised: their own cross-entropy adds their log-sum-exp, which is at most
            zero, and zero only if all members give the same probabilities.
    """

    def __init__(self, members: Sequence[nn.Module], combine: Literal["logits", "probabilities", "losses"]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.combine = combine

    def forward(self, images: Tensor, separately: bool = False) -> Tensor:
        """Return the combined logits [n, classes] or, separately, each member's logits [n, members, classes].

        Args:
            images: Images [n, c, h, w] in [0, 1].
            separately: Return the members' logits without combining them.

        Raises:
            UsageError: The members have different numbers of classes.
        """
        logits = stack_logits([member(images) for member in self.members])
        if separately:
            return logits.transpose(0, 1)
        if self.combine == "logits":
            return logits.mean(0)
        if self.combine == "probabilities":
            return logits.log_softmax(-1).logsumexp(0) - torch.log(torch.tensor(float(len(self.members))))
        return logits.log_softmax(-1).mean(0)


def stack_logits(logits: Sequence[Tensor]) -> Tensor:
    """Stack each member's logits [n, classes] into [members, n, classes].

    Raises:
        UsageError: The members have different numbers of classes.
    """
    counts = [member.shape[-1] for member in logits]
    if len(set(counts)) > 1:
        message = f"found members of {', '.join(map(str, counts))} classes (try members with the same classes)"
        raise UsageError(Fault("ensemble", "members", message))
    return torch.stack(list(logits))
