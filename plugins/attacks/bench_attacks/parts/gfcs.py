"""GFCS, gradient first, coimage second (Lord et al., 2022; arXiv:2203.08725): queries along surrogates' gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.logits import cross_entropy, pick
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from ..members import members_of
from ..trials import SignedTrials, Tried

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class SurrogateSearch:
    """A run's directions."""

    surrogates: Sequence[Model]
    examples: Examples
    rng: Streams

    def next(self, tried: Tried) -> Tensor:
        chosen = torch.tensor([self._chosen(*each) for each in _listed(tried)], device=tried.rows.device)
        directions = torch.zeros_like(tried.points)
        for index, surrogate in enumerate(self.surrogates):
            asked = (chosen == index).nonzero().flatten()
            if len(asked):
                parts = tried.rows, tried.points, tried.turns, tried.failed, tried.rivals
                directions[asked] = self._gradients(surrogate, Tried(*(part[asked] for part in parts)))
        return directions

    def _of_image(self, row: int) -> Streams:
        return self.rng.take(slice(row, row + 1))

    def _chosen(self, row: int, turn: int, failed: int) -> int:
        """Return which surrogate an image asks: each once in random order after a kept step, then any."""
        count = len(self.surrogates)
        if failed < count:
            return int(self._of_image(row).uniform("gfcs order", turn - failed, (count,))[0].argsort()[failed])
        return int(self._of_image(row).uniform("gfcs surrogate", turn, ())[0] * count)

    def _gradients(self, surrogate: Model, tried: Tried) -> Tensor:
        """Return the gradients [k, c, h, w] of the loss, or of random weights of the logits where that was tried."""
        with torch.enable_grad():
            points = tried.points.detach().requires_grad_(True)
            logits = surrogate(points)
            weighted = (self._weights(tried, logits) * logits).sum(1)
            chosen = self._loss(logits, tried).where(tried.failed < len(self.surrogates), weighted)
            (gradients,) = torch.autograd.grad(chosen.sum(), points)
        return gradients

    def _loss(self, logits: Tensor, tried: Tried) -> Tensor:
        """Return the lead of the class that the attacked network likes best besides the label's, [k].

        Targeted attacks raise the log-probability of the target instead.
        """
        targets, labels = self.examples.targets, self.examples.labels
        if targets is not None:
            return -cross_entropy(logits, targets[tried.rows])
        return pick(logits, tried.rivals) - pick(logits, labels[tried.rows])

    def _weights(self, tried: Tried, logits: Tensor) -> Tensor:
        """Return random weights in [-1, 1) of the classes, [k, classes]; 0 where the margin is used."""
        weights = torch.zeros_like(logits)
        for place, (row, turn, failed) in enumerate(_listed(tried)):
            if failed >= len(self.surrogates):
                drawn = self._of_image(row).uniform("gfcs coimage", turn, logits.shape[1:])[0]
                weights[place] = 2 * drawn.to(logits) - 1
        return weights


def _listed(tried: Tried) -> list[tuple[int, int, int]]:
    """Return the row, the turn and the number of failures of each image."""
    return list(zip(tried.rows.tolist(), tried.turns.tolist(), tried.failed.tolist(), strict=True))


@dataclass(frozen=True)
class SurrogateGradients:
    """The gradients of surrogate networks that the attacker has in full (Lord et al., 2022, alg. 1).

    After a step that was kept, each surrogate's gradient is tried, in random order; then gradients of random weights of
    the logits of random surrogates, until a step is kept again. The gradient is that of the lead of a class over the
    label: the class that the attacked network, not the surrogate, likes best besides the label's. Targeted attacks
    follow the cross entropy of the target. The surrogates are the members of the source's surrogate, if it is an
    ensemble.

    It differs from the authors' code in two ways. The loss by which a step is kept is the suite's; theirs is the margin
    or, if the attack is targeted, the cross entropy. A surrogate whose gradient is zero costs two queries for the same
    image, where theirs divides by zero.
    """

    cost: ClassVar[Cost] = Cost(2, 1)  # a query, and at most one gradient of a surrogate
    asks_source: ClassVar[bool] = True

    def check_source(self, model: Model) -> Rejection | None:
        if hasattr(model, "surrogate"):
            return None
        found = "found a network without a surrogate, whose gradients the attack follows"
        hint = '(try a source { recipe = "with_surrogate", base = MODEL, surrogate = MODEL })'
        return Rejection("recipe", f"{found} {hint}")

    def start(self, model: Model, examples: Examples, rng: Streams) -> SurrogateSearch:
        return SurrogateSearch(members_of(model.surrogate), examples, rng)  # type: ignore[arg-type]


def gfcs(budget: Budget) -> SignedTrials:
    return SignedTrials(budget, SurrogateGradients())


RECIPE = AttackRecipe(gfcs, "Steps along gradients of a surrogate, by queries for scores (Lord et al., 2022).")
