"""Random patches (Zhang et al., 2022; IJCAI 2022, 233)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..rewiring import Depth
from ..taps import Layer
from .fia import AggregatedGradients, WeightedFeatures
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState

SIDES = (1, 3, 5, 7)  # of the patches, in pixels, in turn


@dataclass(frozen=True)
class NoisyPatches:
    """Each channel is divided into patches of one side: 1, 3, 5 or 7 pixels in turn, cut off at the border.

    A patch is kept with probability `keep`; each pixel of the others is multiplied by a number from U(0, 1).
    """

    keep: float

    def mask(self, number: int, run: RunState) -> Tensor:
        channels, height, width = run.clean.shape[1:]
        side = SIDES[number % len(SIDES)]
        patches = run.rng.uniform(f"patches {number}", (channels, -(-height // side), -(-width // side)))
        kept = patches.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., :height, :width] < self.keep
        return run.rng.uniform(f"patch noise {number}", run.clean.shape[1:]).where(~kept, 1)


def rpa(
    attack: GradientAttack, *, layer: Depth = 0.45, patch_masks: Count = 60, keep: Share = 0.7, decay: Decay = 1.0
) -> GradientAttack:
    """Suppress features that the class depends on at images with noisy patches (Zhang et al., 2022), with momentum.

    Each image has its own masks; in the authors' code all images of a batch share the places of the patches.
    TransferAttack replaces an exact share of them, never gives patches of 7 pixels their turn, and has 30 masks and the
    probability in place of the logit.

    Args:
        attack: The attack.
        layer: The layer of the features: a name such as "layer2", or a share of the network's depth.
        patch_masks: The number of masks.
        keep: The probability that a mask keeps a patch.
        decay: The decay of the momentum.
    """
    preparation = AggregatedGradients(patch_masks, NoisyPatches(keep))
    weighted = attack.set_once(tap=Layer(layer), loss=WeightedFeatures(), preparation=preparation)
    return weighted.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(rpa, small={"patch_masks": 4})
