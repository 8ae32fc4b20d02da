"""Stochastic mini-batches of an ensemble with reinforced weights (Tang et al., CVPR 2024)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from ..balls import mean_unit
from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Outputs, Passes, Query
from ..walk import Walk
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class ClassNumber:
    """The number of the class that the attack leaves or aims at. It is no loss, but answers a query for it."""

    def value(self, outputs: Outputs, examples: Examples) -> Tensor:
        classes = examples.labels if examples.targets is None else examples.targets
        return classes[:, None].expand(outputs.logits.shape[:-1]).to(outputs.logits)


@dataclass(frozen=True)
class Reinforced:
    """The momentum of inner steps through all members, `rounds` times in random order, with weights that are learned.

    From `w = x` and `n = 0`, with member k: `q` is the gradient at w of the loss of `v_k z_k`, the member's logits
    times its weight; `n <- decay * n + unit(q)`, and w takes the steepest step of the ball along n. After each q, the
    weights take a step of gradient descent of size `rate` on `-log C(mean_k v_k z_k)` at w, where C is the
    cross-entropy, and shrink by `rate * shrinkage`. They begin at 1 for each image, and go on from step to step.

    A targeted attack descends `+log C` of the target class. A single network keeps the weight 1, as an ensemble of one
    has nothing to weigh. Weights that fall below `least` are set to it.
    """

    rounds: int
    decay: float
    rate: float
    shrinkage: float
    targeted: bool
    walk: Walk
    least: float | None = None

    def passes(self, _step: int, members: int) -> Passes:
        return Passes(self.rounds, forwards=self.rounds * members if members > 1 else 0)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(
        self, images: Tensor, weights: Tensor | None, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        if weights is None:  # the number of members is only known now
            weights = images.new_ones(len(images), run.members)
        walked, momentum = images, torch.zeros_like(images)
        for member in self.order(images, run).unbind(1):
            weight = weights.gather(1, member[:, None])
            here = (yield Query(walked[:, None], member=member[:, None], weights=weight)).gradients[:, 0]
            if run.members > 1:
                answer = yield Query(walked[:, None], backward=False, separately=True, loss=ClassNumber())
                assert answer.logits is not None
                weights = self.reinforce(weights, answer.logits[:, 0], answer.member_values[:, 0, 0].long())
            momentum = self.decay * momentum + mean_unit(here)
            walked = self.walk.steepest(walked, momentum, run.step_size, run.clean)
        return momentum, weights

    def order(self, images: Tensor, run: RunState) -> Tensor:
        """Return the members of the inner steps [n, rounds * members]: in each round all of them, shuffled."""
        if run.members == 1:
            return torch.zeros(len(images), self.rounds, dtype=torch.long, device=images.device)
        return run.rng.uniform("rounds", (self.rounds, run.members)).argsort(2).flatten(1)

    def reinforce(self, weights: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the weights [n, members] after one step, from the members' logits [n, members, classes].

        Logits are compared with that of the class [n], so that the ratio `C' / C` is right where C is tiny.
        """
        index = classes.view(-1, 1, 1).expand(-1, logits.shape[1], 1)
        leads = logits - logits.gather(2, index)
        mean = (weights[:, :, None] * leads).mean(1)
        others = mean.scatter(1, classes[:, None], -torch.inf)
        loss = torch.nn.functional.softplus(others.logsumexp(1)).clamp(min=torch.finfo(logits.dtype).tiny)
        slope = (mean.softmax(1)[:, None] * leads).sum(2) / logits.shape[1] / loss[:, None]
        learned = weights + self.rate * ((-slope if self.targeted else slope) - self.shrinkage * weights)
        return learned if self.least is None else learned.clamp(min=self.least)


def smer(
    attack: GradientAttack,
    *,
    rounds: Count = 4,
    decay: Decay = 1.0,
    rate: Annotated[float, Ge(0)] = 0.02,
    shrinkage: Annotated[float, Ge(0)] = 0.002,
    least: Annotated[float, Gt(0)] | None = None,
) -> GradientAttack:
    """Step through an ensemble's members in random order with learned weights (Tang et al., 2024), with momentum.

    The authors' code and TransferAttack have one vector of weights for a batch, whose loss is a mean, and never reset
    it, so that a result depends on the batches before; and one order of the members for a batch. Here each image has
    its own weights, from 1 on, and its own orders. TransferAttack starts at random, and ascends the cross-entropy of
    the target when targeted; here a random start is the budget's, and a targeted attack goes to its target. The
    weighted losses are those of the budget, the weights learn from cross-entropy. However the ensemble combines its
    members, their weighted logits are averaged.

    In the paper, weights can become negative, and the attack then turns round: the gradient of the loss of `v z` at
    v < 0 raises the logit of the class that it should lower. As long as a network is sure of an image, `-log C` is the
    mean of `v_k` times the member's lead, so that each inner step lowers `v_k` by `rate * lead / members`. Many short
    steps therefore fool fewer images than a few long ones. `least` keeps the weights positive (try 0.1).

    Args:
        attack: The attack.
        rounds: The number of times that the inner steps go through all members.
        decay: The decay of both momenta.
        rate: The step size of the weights.
        shrinkage: The weight decay of the weights.
        least: The smallest weight of a member. None by default, as in the paper.
    """
    walk = Walk.of(attack.budget)
    reinforced = Reinforced(rounds, decay, rate, shrinkage, attack.budget.targeted, walk, least)
    return attack.set_once(estimator=reinforced).with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(smer, small={"rounds": 2})
