"""Logit and Logit-Margin against their equations, image by image."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from .by_hand import One, follows, slope
from .by_hand_networks import SHAPE, residual

MODEL = residual()


def resized(one: One, image: Tensor, low: int, side: int) -> Tensor:
    """Return the image [c, h, w], resized by nearest neighbour and pasted on a canvas, if the draws say so."""
    chance, scale, down, right = one.uniform("diversity", 4).tolist()
    if chance >= 0.6:
        return image
    inner = low + int(scale * (side - low))
    top, left = int(down * (side - inner)), int(right * (side - inner))
    rows = [i * 8 // inner for i in range(inner)]
    canvas = torch.zeros(1, side, side, dtype=image.dtype)
    canvas[:, top : top + inner, left : left + inner] = image[:, rows][:, :, rows]
    return canvas


def smoothed(gradient: Tensor) -> Tensor:
    line = (-(torch.linspace(-3, 3, 3, dtype=torch.float64) ** 2) / 2).exp()
    kernel = torch.outer(line, line) / line.sum() ** 2
    out = torch.zeros_like(gradient)
    for i in range(8):
        for j in range(8):
            for a in range(3):
                for b in range(3):
                    if 0 <= i + a - 1 < 8 and 0 <= j + b - 1 < 8:
                        out[:, i, j] += kernel[a, b] * gradient[:, i + a - 1, j + b - 1]
    return out


def objective(one: One, features: Tensor, name: str, calibration: float | str) -> Tensor:
    """Return what is ascended, of the input [d] of the last layer."""
    layer = MODEL.last
    logits = layer(features)
    targets = one.given.targets
    sign, index = (-1, one.given.labels) if targets is None else (1, targets)
    if name == "logit":
        return sign * logits[index[0]]
    if calibration == "angle":
        weights = layer.weight[index[0]]
        return sign * features @ weights / (features.norm() * weights.norm())
    if isinstance(calibration, float):
        return sign * (logits / calibration).log_softmax(0)[index[0]]
    first, second = logits.detach().sort(descending=True).values[:2]
    return sign * (logits / (first - second)).log_softmax(0)[index[0]]


def before_head(image: Tensor) -> Tensor:
    """Return the input [d] of the last layer."""
    seen: list[Tensor] = []
    handle = MODEL.last.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0][0]))
    MODEL(image[None])
    handle.remove()
    return seen[0]


@pytest.mark.parametrize(
    ("name", "calibration", "resize"),
    [
        ("logit", "", 1.25),
        ("logit_margin", "margin", 1.25),
        ("logit_margin", 3.0, 1.25),
        ("logit_margin", "angle", 0.75),
    ],
)
def test_targeted(name: str, calibration: float | str, resize: float) -> None:
    low, side = (8, 10) if resize > 1 else (6, 8)

    def transcription(one: One) -> Iterator[Tensor]:
        def ascended(at: Tensor) -> Tensor:
            return objective(one, before_head(resized(one, at, low, side)), name, calibration)

        momentum = torch.zeros_like(one.clean)
        while True:
            momentum = 0.9 * momentum + smoothed(slope(ascended, one.image))
            yield momentum

    options: dict[str, Any] = {"probability": 0.6, "resize": resize, "kernel": 3, "decay": 0.9}
    options |= {"calibration": calibration} if calibration else {}
    follows(name, transcription, model=MODEL, shape=SHAPE, **options)
