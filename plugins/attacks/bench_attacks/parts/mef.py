"""Maximin expected flatness (Qiu et al., 2024; arXiv:2405.16181)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS, Neighbours, mean_units, per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState


@dataclass(frozen=True)
class FlatAround:
    """The sum of the gradients at neighbours that go back along their own last gradients (algorithm 1).

    `p_k = x + r_k + radius * G_k`; `G_k <- unit(g(p_k)) - inner_decay * G_k`, which is zero at first. The inversion of
    the sign at every second step is what makes `G_k` point to where the loss is lower. The r_k are drawn uniformly from
    a box at each step. `unit` scales to a mean absolute value of 1, as in TransferAttack. No point is clipped to
    [0, 1]. The state has `count` tensors in the image's shape for each image.
    """

    neighbours: Neighbours
    radius: float
    inner_decay: float
    norms: ClassVar = LENGTHS

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(self.neighbours.count)

    def init(self, images: Tensor) -> Tensor:
        return images.new_zeros(len(images), self.neighbours.count, *images.shape[1:])

    def estimate(
        self, images: Tensor, inverted: Tensor, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        length = images.new_full((len(images),), self.radius)
        back = per_pixel(length, self.neighbours.norm, images)[:, None] * inverted
        answer = yield Query(images[:, None] + self.neighbours.offsets(images, run) + back)
        after = mean_units(answer.gradients) - self.inner_decay * inverted
        return answer.gradients.sum(1), after


def mef(
    attack: GradientAttack,
    *,
    neighbours: Count = 20,
    reach: Annotated[float, Ge(0)] = 2.0,
    xi: Annotated[float, Ge(0)] = 0.15,
    inner_decay: Share = 0.9,
    decay: Decay = 0.5,
) -> GradientAttack:
    """Sum gradients near the image, each at a point of lower loss (Qiu et al., 2024), with momentum.

    The authors take 20 steps of a tenth of eps. Here the number and length of the steps are the budget's.

    Args:
        attack: The attack.
        neighbours: The number of points near the image.
        reach: Their largest distance from it, in units of the budget's eps (in L2 spread evenly over all pixels).
        xi: How far each point moves along its own memory, in the same units.
        inner_decay: The decay of the points' memories.
        decay: The decay of the momentum.
    """
    eps = attack.budget.eps
    near = Neighbours(neighbours, reach * eps, attack.budget.norm)
    flat = attack.set_once(estimator=FlatAround(near, xi * eps, inner_decay))
    return flat.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(mef, small={"neighbours": 3})
