"""Attacks that ask the network for scores only: random trials, each kept where it raises the loss.

They query images through `bench_core.queries.ask`, so that the host can count the queries of each. An image that is
fooled is not asked about again, and one that is not is returned unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench_core.logits import LOSSES, strongest_other
from bench_core.queries import ask
from bench_core.types import Budget, Examples

from .balls import per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

DEVIATIONS: Mapping[str, str] = MappingProxyType({"cost": "an image that is fooled is not asked about again"})


@dataclass
class Best:
    """The best image of each so far.

    Attributes:
        images: The images, [n, c, h, w].
        values: What is raised: the loss of the budget, or minus that of the target class, [n].
        fooled: Whether they fool the network, bool [n].
        rivals: The strongest class besides the label in the network's answer, int64 [n].
    """

    model: Model
    examples: Examples
    budget: Budget
    images: Tensor
    values: Tensor
    fooled: Tensor
    rivals: Tensor

    @classmethod
    def of(cls, model: Model, examples: Examples, budget: Budget, images: Tensor) -> Best:
        """Ask about the first images [n, c, h, w]."""
        values = torch.full_like(images.flatten(1)[:, 0], -torch.inf)
        fooled = torch.zeros_like(examples.labels, dtype=torch.bool)
        best = cls(model, examples, budget, images.clone(), values, fooled, examples.labels.clone())
        best.take(images, torch.arange(len(images), device=images.device))
        return best

    @property
    def going(self) -> Tensor:
        """The images that do not fool the network yet, int64 [k]."""
        return (~self.fooled).nonzero().flatten()

    @property
    def result(self) -> Tensor:
        """The images that fool the network, and the clean ones elsewhere, [n, c, h, w]."""
        return self.images.where(per_image(self.fooled, self.images), self.examples.images)

    def take(self, trials: Tensor, rows: Tensor) -> Tensor:
        """Ask about trials [k, c, h, w] of some images and keep those that are better. Return which are, bool [k]."""
        logits = ask(self.model, trials, rows)
        values, fooled = self._judge(logits, rows)
        better = fooled | (values > self.values[rows])
        kept = rows[better]
        self.images[kept], self.values[kept], self.fooled[kept] = trials[better], values[better], fooled[better]
        self.rivals[kept] = strongest_other(logits, self.examples.labels[rows])[better]
        return better

    def _judge(self, logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is raised [k], and which of the images are fooled, bool [k]."""
        loss, predicted, targets = LOSSES[self.budget.loss], logits.argmax(1), self.examples.targets
        if targets is not None:
            return -loss(logits, targets[rows]), predicted == targets[rows]
        labels = self.examples.labels[rows]
        return loss(logits, labels), predicted != labels
