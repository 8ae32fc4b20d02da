"""The visible difference of colours: CIEDE2000 (CIE 142-2001; Sharma, Wu and Dalal, 2005)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import mean

from .shared.colour import as_rgb, lab, picture_fault

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score
else:
    from bench_core.lazy import torch

SATURATED = 25.0**7


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Compute the CIEDE2000 difference of colours, with the weights k_L = k_C = k_H = 1.

    The equations and their numbers are those of Sharma et al.

    Args:
        first: Colours in CIELAB, L*, a* and b* along dimension 1, [n, 3, ...].
        second: Colours of the same shape.

    Returns:
        Differences [n, ...]; about 1 is just noticeable.
    """
    (l1, a1, b1), (l2, a2, b2) = first.double().unbind(1), second.double().unbind(1)
    chroma = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    g = 0.5 * (1 - _saturation(chroma))  # equation 4
    (c1, h1), (c2, h2) = (_polar((1 + g) * a, b) for a, b in ((a1, b1), (a2, b2)))
    grey = c1 * c2 == 0
    turn = torch.where(grey, 0, torch.remainder(h2 - h1 + 180, 360) - 180)  # equation 10
    dl, dc, dh = l2 - l1, c2 - c1, 2 * (c1 * c2).sqrt() * _sin(turn / 2)
    far = (h1 - h2).abs() > 180
    middle = torch.where(far, torch.where(h1 + h2 < 360, h1 + h2 + 360, h1 + h2 - 360), h1 + h2) / 2  # equation 14
    hue = torch.where(grey, h1 + h2, middle)
    c = (c1 + c2) / 2
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    lightness = ((l1 + l2) / 2 - 50) ** 2
    s_l = 1 + 0.015 * lightness / (20 + lightness).sqrt()
    s_c, s_h = 1 + 0.045 * c, 1 + 0.015 * c * t
    rotation = -_sin(60 * torch.exp(-(((hue - 275) / 25) ** 2))) * 2 * _saturation(c)  # equations 16, 17 and 21
    dl, dc, dh = dl / s_l, dc / s_c, dh / s_h
    squared: Tensor = dl**2 + dc**2 + dh**2 + rotation * dc * dh  # equation 22
    return squared.clamp(min=0).sqrt()


def _saturation(chroma: Tensor) -> Tensor:
    return (chroma**7 / (chroma**7 + SATURATED)).sqrt()


def _polar(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return chroma and hue, in degrees from 0 to 360."""
    return torch.hypot(a, b), torch.remainder(torch.rad2deg(torch.atan2(b, a)), 360)


def _sin(degrees: Tensor) -> Tensor:
    return torch.sin(torch.deg2rad(degrees))


def _cos(degrees: Tensor) -> Tensor:
    return torch.cos(torch.deg2rad(degrees))


@dataclass(frozen=True)
class ColourDifference:
    """CIEDE2000 difference of the adversarial from the clean image: the mean over pixels, and the largest.

    Images are taken as sRGB under the illuminant D65; those of one channel as grey. A difference of about 1 is just
    noticeable. Zhao et al. (2020; arXiv:1911.02466) attack with it. Scores and rows: `mean` and `largest`.
    """

    forwards: ClassVar = 0
    scores: ClassVar = ("mean", "largest")
    rows: ClassVar = ("mean", "largest")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return picture_fault(shape)

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        difference = ciede2000(*(lab(as_rgb(images)) for images in (clean.images, adversarial))).flatten(1)
        return {"mean": difference.mean(1), "largest": difference.amax(1)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("mean", rows["mean"])
        yield mean("largest", rows["largest"])


METRIC = ColourDifference
