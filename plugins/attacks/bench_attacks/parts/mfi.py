"""Mixed-frequency inputs (IEEE Transactions on Information Forensics and Security, 2024; document 10602524)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from .si import ScaledCopies

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

SOFTNESS = 10 / 224  # TransferAttack's 10 pixels at a side of 224


@dataclass(frozen=True)
class FrequencyMixed:
    """The copies `low(x) + high(a * x + (1 - a) * d_j) + noise * N` with donors d_j, images of other classes.

    `low` multiplies the Fourier coefficients by `sigmoid((radius - f) / softness)`, where f is the length of the
    frequency in cycles a pixel, and `high` is the rest of the image. The share a is uniform in [0, 1) and N standard
    normal. If not `soft`, `low` keeps the frequencies up to `radius` and a is 0. Copies are not clipped.

    The radius is 100 pixels at a side of 224 in TransferAttack, from which this follows; its loss cannot be computed
    as published, as it reads an attribute that is not set. Its donors are the current images of batch mates, and all
    images of a batch have one a. Here donors are clean images of the dataset, and each image and copy has its own a.
    """

    count: int
    radius: float
    noise: float
    soft: bool
    through: bool = True

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in images.shape[-2:])
        distance = (rows[:, None] ** 2 + columns**2).sqrt()
        low = ((self.radius - distance) / SOFTNESS).sigmoid() if self.soft else (distance <= self.radius).double()
        low = low.to(images)
        donors = run.donors("frequency donors", self.count)
        shares = run.rng.uniform("frequency shares", (self.count, 1, 1, 1)) * self.soft
        noise = self.noise * run.rng.normal("frequency noise", donors.shape[1:])
        # One image at a time: a transform of another shape may round differently.
        mixed = []
        for i, image in enumerate(images):
            spectrum = torch.fft.fft2(image)
            for j in range(self.count):
                other = shares[i, j] * spectrum + (1 - shares[i, j]) * torch.fft.fft2(donors[i, j])
                mixed.append(torch.fft.ifft2(low * spectrum + (1 - low) * other).real)
        return torch.stack(mixed).view_as(noise) + noise


def mfi(
    attack: GradientAttack,
    *,
    mfi_mixed: Count = 3,
    mfi_scales: Count = 5,
    mfi_radius: Annotated[float, Gt(0)] = 100 / 224,
    mfi_noise: Annotated[float, Ge(0)] = 32 / 255,
    mfi_mask: Literal["soft", "hard"] = "soft",
    mfi_pool: Count = 100,
) -> GradientAttack:
    """Average the loss over copies with high frequencies of other images, each at several scales (MFI, 2024).

    The published attack has a momentum (`mi`).

    Args:
        attack: The attack.
        mfi_mixed: The number of donors of each image.
        mfi_scales: The number of scales of each copy, as in `si`.
        mfi_radius: The length of the frequencies from which on those of other images are mixed in, in cycles a pixel.
        mfi_noise: The standard deviation of the noise, in units of the image range.
        mfi_mask: Whether high and low frequencies overlap, and the image keeps a share of its high ones.
        mfi_pool: The number of images of the dataset from which donors are drawn.
    """
    copies = FrequencyMixed(mfi_mixed, mfi_radius, mfi_noise, mfi_mask == "soft")
    return attack.with_donors(mfi_pool).add_views(copies, ScaledCopies(mfi_scales))


RECIPE = recipe(mfi, small={"mfi_mixed": 2, "mfi_scales": 2})
