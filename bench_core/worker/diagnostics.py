"""Facts about a network and about an attack's progress, from which warnings are derived.

The checks are those of arXiv:1802.00420 (sec. 3.1) and arXiv:1902.06705 (sec. 4); `scores/warnings.py` turns their
rows into warnings.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..logits import LOSSES, margin
from ..types import Budget, Examples, Norm, Streams
from .rng_state import is_randomised

EXAMINED_IMAGES = 32  # of the dataset
LAST_STEPS = 10
REPEATS = 16  # forwards of a randomised network: two draws out of few, shared by a batch, may well be equal
TOLERANCE = 1e-4  # of the largest logit: outputs for one image that differ by more are a randomised network's


def examine(network: nn.Module, examples: Examples) -> Mapping[str, Tensor]:
    """Examine a network on the first images of a batch.

    Returns:
        Rows bool [n]. `examined` marks the images that were used; on those, `softmax`: the outputs are probabilities;
        `randomised`: a second forward differs; `no_gradient`: the network cannot be differentiated; `zero_gradient`:
        the margin's input gradient is zero; `saturated`: only the cross entropy's is zero, in float32.
    """
    count, some = len(examples.labels), examples.take(slice(0, EXAMINED_IMAGES))
    first = network(some.images)
    repeated = [network(some.images) for _ in range(REPEATS if is_randomised(network, some.images[:1]) else 1)]
    gradients = {name: loss_gradient(network, some, name) for name in LOSSES}
    every = torch.ones_like(some.labels, dtype=torch.bool)
    zero = {name: ~every if size is None else size == 0 for name, size in gradients.items()}
    found = {
        "examined": every,
        "no_gradient": every if gradients["margin"] is None else ~every,
        "softmax": (first >= 0).all(1) & ((first.sum(1) - 1).abs() < 1e-3),
        "randomised": (torch.stack(repeated) - first).abs().amax((0, 2)) > TOLERANCE * first.abs().amax(1),
        "zero_gradient": zero["margin"],
        "saturated": zero["cross_entropy"] & ~zero["margin"],
    }
    return {name: torch.cat([row, row.new_zeros(count - len(row))]) for name, row in found.items()}


def loss_gradient(network: nn.Module, examples: Examples, name: str) -> Tensor | None:
    """Return the largest absolute input gradient [n] of a loss; None if the network cannot be differentiated."""
    with torch.enable_grad():
        images = examples.images.clone().requires_grad_(True)
        try:
            (gradient,) = torch.autograd.grad(LOSSES[name](network(images), examples.labels).sum(), images)
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            return None
    return gradient.flatten(1).abs().amax(1)


class AttackDiagnostics:
    """Measures on the source network how far an attack gets, with a few forwards for each image.

    The *attack margin* of an image, in logits, is the margin of the strongest wrong class, or of the target class. It
    is positive where the source is fooled.
    """

    def __init__(self, source: nn.Module, examples: Examples, budget: Budget, rng: Streams) -> None:
        self.source, self.examples, self.budget, self.rng = source, examples, budget, rng
        self.before = torch.full(examples.labels.shape, torch.nan, device=examples.labels.device)
        self.step_before = budget.steps - min(LAST_STEPS, budget.steps // 2)

    def attack_margin(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.source(images)
        targets = self.examples.targets
        return margin(logits, self.examples.labels) if targets is None else -margin(logits, targets)

    def step(self, index: int, images: Tensor) -> None:
        if index == self.step_before < self.budget.steps:
            self.before = self.attack_margin(images)

    def rows(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the attack margins [n] of the last images, of those some steps earlier (NaN if there were too few
        steps), and of noise as large as the budget allows."""
        noise = noise_of_size(self.examples.images, self.budget.norm, self.budget.eps, self.rng)
        return {
            "margin": self.attack_margin(images),
            "margin_before": self.before,
            "margin_of_noise": self.attack_margin(noise),
        }


def noise_of_size(images: Tensor, norm: Norm, eps: float, rng: Streams) -> Tensor:
    """Add to each image noise as large as the ball allows, random signs or a random direction; clip to [0, 1]."""
    drawn = rng.normal("noise of the host", 0, images.shape[1:]).to(images)
    size = drawn.flatten(1).norm(dim=1).view(-1, *[1] * (images.ndim - 1))
    noise = drawn.sign() if norm == "linf" else drawn / size
    return (images + eps * noise).clamp(0, 1)
