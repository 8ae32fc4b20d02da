"""Compares a network with its rewritten copy, in float64."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .rewrite import rewrite

ROUNDING = 1e-8  # of the largest value; in float64, rewritten networks differ by 1e-12 or less
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def keeps_function(network: nn.Module, images: Tensor) -> bool:
    """Return whether the rewritten network has the same logits and image gradients on some images.

    A network with hooks is never rewritten, because they may belong to a module that is replaced; nor is one that
    cannot be copied, or does not run in float64.

    Args:
        network: A frozen network in evaluation mode, images [n, c, h, w] -> logits [n, classes]. It is not changed.
        images: Images [n, c, h, w].
    """
    if any(getattr(module, hooks) for module in network.modules() for hooks in HOOKS):
        return False
    try:
        with torch.random.fork_rng(devices=[]):
            exact = copy.deepcopy(network).double()
            expected = _answers(exact, images)
            found = _answers(rewrite(exact), images)
    except Exception:  # code of other people can raise anything; the network is then only slower
        return False
    return all(_equal(a, b) for a, b in zip(found, expected, strict=True))


def _answers(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits [n, classes] in float64, and the gradient of a fixed sum of them with respect to the images."""
    with torch.enable_grad():
        inputs = images.detach().double().requires_grad_(True)
        logits: Tensor = network(inputs.clone())
        weights = torch.arange(1, logits.numel() + 1, dtype=logits.dtype, device=logits.device).cos()
        (gradient,) = torch.autograd.grad((logits * weights.view_as(logits)).sum(), inputs)
    return logits.detach(), gradient


def _equal(found: Tensor, expected: Tensor) -> bool:
    largest = expected.abs().max()
    return found.shape == expected.shape and bool((found - expected).abs().max() <= ROUNDING * largest)
