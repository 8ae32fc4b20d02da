"""What an attack does to the frequencies of an image (arXiv:2103.07364, app. I.9 and figure 6, left)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.statistics import mean

from .separation import auroc, fisher

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score
else:
    from bench_core.lazy import torch


def radial_magnitude(images: Tensor) -> Tensor:
    """Give `F^(r) = sqrt(sum ||F^(h, w)||^2)` over the frequencies of radius r, rounded, of images [n, c, h, w].

    Frequencies count cycles an image side, the lowest in the centre; channels are added up, and the transform is
    unitary, so that the squares of all radii [n, radii] sum to that of the image's length (Parseval).
    """
    power = torch.fft.fft2(images.double(), norm="ortho").abs().square().sum(1)
    along = [torch.fft.fftfreq(side, 1 / side, device=images.device) for side in images.shape[-2:]]
    radius = (along[0][:, None] ** 2 + along[1][None] ** 2).sqrt().round().long()
    rings = torch.nn.functional.one_hot(radius.flatten()).double()
    magnitude: Tensor = (power.flatten(1) @ rings).sqrt()
    return magnitude


@dataclass(frozen=True)
class SpectrumSeparation:
    """How well the magnitude at each radius of the spectrum tells adversarial from clean images.

    Scores, labelled by `radius`: `fisher`, `auroc`, and the `magnitude` itself, labelled by `images` as well.
    """

    forwards: ClassVar = 0
    scores: ClassVar = ("fisher", "auroc", "magnitude")
    labels: ClassVar = ("radius", "images")

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        return {"clean": radial_magnitude(clean.images), "adversarial": radial_magnitude(adversarial)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        for radius, (clean, adversarial) in enumerate(
            zip(*(np.asarray(rows[name]).T for name in ("clean", "adversarial")), strict=True)
        ):
            labels = {"radius": f"{radius}"}
            yield fisher(clean, adversarial, labels)
            yield auroc(clean, adversarial, labels)
            yield mean("magnitude", clean, labels | {"images": "clean"})
            yield mean("magnitude", adversarial, labels | {"images": "adversarial"})
