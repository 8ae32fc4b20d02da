"""Uniform scale and mix mask (Wang et al., 2023; arXiv:2311.12051)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class MixMasked:
    """The copies `clip(s_i * x * (1 - r + 2 * r * d_j))` with scales `s_i` and donors `d_j`, images of other classes.

    The scales are linear from `lowest` to `highest`; a single one is `lowest`. The gradient is taken at the copy, as in
    the authors' code: neither the scale nor the mask is a factor of it, so that all copies weigh the same.

    In the authors' code and in TransferAttack the donors are the current images of batch mates, possibly the image
    itself, and always the image itself in a batch of one. Here they are clean images of the dataset, drawn for each
    image and query.
    """

    mixed: int
    scales: int
    lowest: float
    highest: float
    spread: float
    through: bool = False

    @property
    def count(self) -> int:
        return self.mixed * self.scales

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        masks = 1 - self.spread + 2 * self.spread * run.donors("mix mask", self.mixed)
        scales = torch.linspace(self.lowest, self.highest, self.scales, dtype=torch.float64).to(images)
        scaled = images[:, None] * scales.view(-1, 1, 1, 1)
        return (scaled[:, None] * masks[:, :, None]).clamp(0, 1).flatten(1, 2)


def usmm(
    attack: GradientAttack,
    *,
    usmm_mixed: Count = 3,
    usmm_scales: Count = 5,
    lowest_scale: Share = 0.1,
    highest_scale: Share = 0.75,
    mask_spread: Share = 0.5,
    usmm_pool: Count = 100,
) -> GradientAttack:
    """Average the gradients at scaled copies, each multiplied by another image as a mask (Wang et al., 2023).

    The published attack has a momentum (`mi`).

    Args:
        attack: The attack.
        usmm_mixed: The number of donors of each image.
        usmm_scales: The number of scales of each masked image.
        lowest_scale: The first scale.
        highest_scale: The last scale.
        mask_spread: The largest distance of a mask's values from 1.
        usmm_pool: The number of images of the dataset from which donors are drawn.
    """
    copies = MixMasked(usmm_mixed, usmm_scales, lowest_scale, highest_scale, mask_spread)
    return attack.with_donors(usmm_pool).add_views(copies)


RECIPE = recipe(usmm, small={"usmm_mixed": 2, "usmm_scales": 2})
