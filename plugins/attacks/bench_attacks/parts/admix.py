"""Admix (Wang et al., 2021; arXiv:2102.00436)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from .si import ScaledCopies

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState


@dataclass(frozen=True)
class MixedCopies:
    """The copies `x + share * d_j` with `count` donors `d_j`: images of other classes, drawn anew for each query.

    The authors' code takes the current images of batch mates, which may be the image itself. Here the donors are clean
    images of the dataset, so that an image's result does not depend on its batch.
    """

    count: int
    share: float
    through: bool = True

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        return images[:, None] + self.share * run.donors("admix", self.count)


def admix(
    attack: GradientAttack, *, share: Share = 0.2, mixed: Count = 3, admix_scales: Count = 5, pool: Count = 100
) -> GradientAttack:
    """Average the loss over mixtures with other images, each at several scales (Wang et al., 2021; eq. 6).

    Args:
        attack: The attack.
        share: The weight of the donor.
        mixed: The number of donors of each image.
        admix_scales: The number of scales of each mixture, as in `si`.
        pool: The number of images of the dataset from which donors are drawn.
    """
    return attack.with_donors(pool).add_views(MixedCopies(mixed, share), ScaledCopies(admix_scales))


RECIPE = recipe(admix, small={"mixed": 2, "admix_scales": 2})
