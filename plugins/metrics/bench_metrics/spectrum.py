"""How an attack changes the frequencies of an image (arXiv:2103.07364, app. I.9 and figure 6, left)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.statistics import mean

from .shared.discrimination import auroc, fisher

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score
else:
    from bench_core.lazy import torch


def radial_magnitude(images: Tensor) -> Tensor:
    """Compute `F^(r) = sqrt(sum ||F^(h, w)||^2)` over the frequencies of rounded radius r and over channels.

    The transform is unitary, so the squares over all radii sum to the squared norm of the image (Parseval).

    Args:
        images: Images [n, c, h, w].

    Returns:
        Magnitudes [n, radii]; radius r is in cycles per image side, from 0.
    """
    power = torch.fft.fft2(images.double(), norm="ortho").abs().square().sum(1)
    rows, columns = (torch.fft.fftfreq(side, 1 / side, device=images.device) for side in images.shape[-2:])
    radius = (rows[:, None] ** 2 + columns[None] ** 2).sqrt().round().long()
    rings = torch.nn.functional.one_hot(radius.flatten()).double()
    magnitude: Tensor = (power.flatten(1) @ rings).sqrt()
    return magnitude


@dataclass(frozen=True)
class SpectrumSeparation:
    """How well the magnitude at each radius of the spectrum discriminates adversarial from clean images.

    Scores, labelled by `radius`: `fisher`, `auroc`, and `magnitude`, which is labelled by `images` as well.
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


METRIC = SpectrumSeparation
