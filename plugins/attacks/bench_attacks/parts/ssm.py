"""Spectrum simulation (Long et al., ECCV 2022; arXiv:2207.05382), also called SSA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..compose import Count, Share, recipe
from ..cosines import from_frequencies, to_frequencies
from ..gradient_attack import GradientAttack
from ..offsets import LENGTHS, per_pixel

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Budget

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class SpectrumCopies:
    """The copies `IDCT(DCT(x + sigma * N) * U)`, N standard normal and U uniform in [1 - rho, 1 + rho].

    Both have a number for each pixel, or coefficient, and channel, and sigma is `noise` times the budget's eps; in L2
    times eps / sqrt(c * h * w), the root mean square of a perturbation of that length. The copies are not clipped, and
    the gradient is taken at the copy, as in the authors' code.
    """

    count: int
    rho: float
    noise: float
    budget: Budget
    through: bool = False
    norms: ClassVar = LENGTHS

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        shape = (self.count, *images.shape[1:])
        sigma = per_pixel(images.new_full((len(images),), self.noise * self.budget.eps), self.budget.norm, images)
        noisy = images[:, None] + sigma[:, None] * run.rng.normal("spectrum noise", shape)
        factors = 1 - self.rho + 2 * self.rho * run.rng.uniform("spectrum factors", shape)
        # One image at a time: a product of other shape may round differently.
        copies = zip(noisy.flatten(0, 1), factors.flatten(0, 1), strict=True)
        return torch.stack([from_frequencies(to_frequencies(copy) * factor) for copy, factor in copies]).view_as(noisy)


def ssm(
    attack: GradientAttack,
    *,
    spectra: Count = 20,
    spectrum_spread: Share = 0.5,
    spectrum_noise: Annotated[float, Ge(0)] = 1.0,
) -> GradientAttack:
    """Average the gradients at copies whose cosine coefficients are scaled at random (Long et al., 2022).

    The authors' code as it is published has its momentum commented out. TransferAttack has one (`mi`), and accepts only
    images of 3 x 224 x 224.

    Args:
        attack: The attack.
        spectra: The number of copies.
        spectrum_spread: The largest distance of a factor from 1.
        spectrum_noise: The standard deviation of the noise before the transform, in units of the budget's eps.
    """
    return attack.add_views(SpectrumCopies(spectra, spectrum_spread, spectrum_noise, attack.budget))


RECIPE = recipe(ssm, small={"spectra": 3})
