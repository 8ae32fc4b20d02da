"""What the host sees for itself of a network and of an attack, to warn of numbers that mean less than they seem to.

`flags.py` makes the warnings of it. The checks are those of arXiv:1802.00420 (sec. 3.1) and arXiv:1902.06705 (sec. 4).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..logits import LOSSES, margin
from ..types import Budget, Examples, Norm, Streams
from .rng_state import draws

EXAMINED = 32  # images of the dataset, for the facts about a network
LAST_STEPS = 10
REPEATS = 16  # of a network that draws: a draw out of a few, the same for a batch, may well come twice
REPEATED = 1e-4  # of the largest logit: two answers to one question that differ by more are a randomised network's


def examine(network: nn.Module, examples: Examples) -> Mapping[str, Tensor]:
    """Look at a network at its first clean images. Rows bool [n]: `examined`, and where that is so, what was found.

    `softmax`: the outputs are probabilities; `randomised`: a second answer is another; `no_gradient`: the network
    cannot be differentiated; `zero_gradient`: the margin has an input gradient of zero; `saturated`: only the cross
    entropy's is zero, in float32.
    """
    count, some = len(examples.labels), examples.take(slice(0, EXAMINED))
    first = network(some.images)
    again = [network(some.images) for _ in range(REPEATS if draws(network, some.images[:1]) else 1)]
    gradients = {name: loss_gradient(network, some, name) for name in LOSSES}
    every = torch.ones_like(some.labels, dtype=torch.bool)
    flat = {name: ~every if size is None else size == 0 for name, size in gradients.items()}
    found = {
        "examined": every,
        "no_gradient": every if gradients["margin"] is None else ~every,
        "softmax": (first >= 0).all(1) & ((first.sum(1) - 1).abs() < 1e-3),
        "randomised": (torch.stack(again) - first).abs().amax((0, 2)) > REPEATED * first.abs().amax(1),
        "zero_gradient": flat["margin"],
        "saturated": flat["cross_entropy"] & ~flat["margin"],
    }
    return {name: torch.cat([row, row.new_zeros(count - len(row))]) for name, row in found.items()}


def loss_gradient(network: nn.Module, examples: Examples, name: str) -> Tensor | None:
    """Give the largest absolute input gradient [n] of a loss; None where the network cannot be differentiated."""
    with torch.enable_grad():
        images = examples.images.clone().requires_grad_(True)
        try:
            (gradient,) = torch.autograd.grad(LOSSES[name](network(images), examples.labels).sum(), images)
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            return None
    return gradient.flatten(1).abs().amax(1)


class Witness:
    """Asks a source network, beside an attack on it, how well the attack does: a few forwards for each image.

    The *lead* of an image is by how much the attack has won, in logits: the margin of the strongest wrong class, or of
    the class aimed at. It is positive where the source is fooled.
    """

    def __init__(self, source: nn.Module, examples: Examples, budget: Budget, rng: Streams) -> None:
        self.source, self.examples, self.budget, self.rng = source, examples, budget, rng
        self.before = torch.full(examples.labels.shape, torch.nan, device=examples.labels.device)
        self.look = budget.steps - min(LAST_STEPS, budget.steps // 2)

    def lead(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.source(images)
        targets = self.examples.targets
        return margin(logits, self.examples.labels) if targets is None else -margin(logits, targets)

    def step(self, index: int, images: Tensor) -> None:
        if index == self.look < self.budget.steps:
            self.before = self.lead(images)

    def rows(self, images: Tensor) -> Mapping[str, Tensor]:
        """Give `lead` [n] of the last images, `lead_before` the last steps (NaN if there were not as many), and
        `lead_of_noise` of the budget's size."""
        noise = noise_of_size(self.examples.images, self.budget.norm, self.budget.eps, self.rng)
        return {"lead": self.lead(images), "lead_before": self.before, "lead_of_noise": self.lead(noise)}


def noise_of_size(images: Tensor, norm: Norm, eps: float, rng: Streams) -> Tensor:
    """Add to each image noise as large as the ball allows: random signs, or a random direction; then clip to [0, 1]."""
    drawn = rng.normal("noise of the host", 0, images.shape[1:]).to(images)
    size = drawn.flatten(1).norm(dim=1).view(-1, *[1] * (images.ndim - 1))
    noise = drawn.sign() if norm == "linf" else drawn / size
    return (images + eps * noise).clamp(0, 1)
