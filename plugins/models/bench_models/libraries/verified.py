"""Makes a network of a library lean, after a comparison of its logits and gradients on a probe."""

from __future__ import annotations

import torch
from torch import nn

from bench_core.lean import lean


def lean_on_probe(network: nn.Module, side: int) -> nn.Module:
    """Return a network made lean, or as it is if that would change its function on a random image [1, 3, side, side].

    Libraries and their users write networks in ways that no rewrite can foresee.
    """
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return lean(network, images)
