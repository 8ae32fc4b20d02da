"""PatchOut (Wei et al., AAAI 2022; arXiv:2109.04176)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from bench_core.types import Rejection

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples

    from ..messages import TermInputs
    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class KeptPatches:
    """The image with the perturbation of some patches only, `x + M * (x_t - x)`, drawn anew at each step.

    The image is cut into `grid` x `grid` patches, of which `kept` are drawn; M is 1 in them and 0 elsewhere.
    """

    grid: int
    kept: int
    count: ClassVar[int] = 1
    through: ClassVar[bool] = True

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        side = min(shape[1:])
        if side >= self.grid:
            return None
        return Rejection("patch_grid", f"found {self.grid}, but the images have {side} pixels (try {side})")

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        drawn = run.rng.subsets("patches", 1, self.grid**2, self.kept)[:, 0].unflatten(1, (self.grid, self.grid))
        rows, columns = (torch.arange(side, device=images.device) * self.grid // side for side in images.shape[-2:])
        mask = drawn[:, rows][:, :, columns][:, None].to(images)
        masked: Tensor = run.clean + mask * (images - run.clean)
        return masked[:, None]


@dataclass(frozen=True)
class Distance:
    """The Euclidean length of the perturbation, times `weight`. Its gradient at the clean image is 0."""

    weight: float
    count: ClassVar[int] = 0
    uses_image: ClassVar[bool] = False
    uses_clean: ClassVar[bool] = False

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def points(self, _images: Tensor, _run: RunState) -> None:
        return None

    def value(self, inputs: TermInputs, _examples: Examples) -> Tensor:
        length: Tensor = inputs.delta.flatten(1).norm(dim=1)
        return self.weight * length


def patchout(
    attack: GradientAttack,
    *,
    patch_grid: Count = 14,
    patch_share: Share = 130 / 196,
    distance: Annotated[float, Ge(0)] = 0.1,
) -> GradientAttack:
    """Compute each step's gradient with the perturbation of random patches only (Wei et al., 2022).

    The authors' code and TransferAttack draw the patches by the number of the step, the same for all images, and take
    the distance over the batch; here both are those of each image. Their images have 14 x 14 patches of 16 pixels;
    here the grid is stretched over an image of any size.

    Args:
        attack: The attack.
        patch_grid: The number of patches along each side.
        patch_share: The share of the patches whose perturbation is kept, rounded to one patch or more.
        distance: The weight of the perturbation's Euclidean length, which is maximised beside the loss.
    """
    kept = max(1, round(patch_share * patch_grid**2))
    masked = attack.add_views(KeptPatches(patch_grid, kept))
    return masked.add_term(Distance(distance)) if distance else masked


RECIPE = recipe(patchout, small={"patch_grid": 3})
