"""Logit and Logit-Margin against their equations, image by image."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from .by_hand import One, follows, slope
from .by_hand_networks import SHAPE, residual

MODEL = residual()


def resized(one: One, image: Tensor) -> Tensor:
    """Return the image [c, h, w], resized by nearest neighbour and pasted, if the draws say so."""
    chance, scale, down, right = one.uniform("diversity", 4).tolist()
    if chance >= 0.6:
        return image
    inner = 8 + int(scale * 2)  # of a canvas of 10
    top, left = int(down * (10 - inner)), int(right * (10 - inner))
    rows = [i * 8 // inner for i in range(inner)]
    canvas = torch.zeros(1, 10, 10, dtype=image.dtype)
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


def objective(one: One, logits: Tensor, name: str) -> Tensor:
    """Return what is ascended, of logits [classes]."""
    targets = one.given.targets
    sign, index = (-1, one.given.labels) if targets is None else (1, targets)
    if name == "logit":
        return sign * logits[index[0]]
    first, second = logits.detach().sort(descending=True).values[:2]
    return sign * (logits / (first - second)).log_softmax(0)[index[0]]


@pytest.mark.parametrize("name", ["logit", "logit_margin"])
def test_targeted(name: str) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            gradient = slope(lambda at: objective(one, MODEL(resized(one, at)[None])[0], name), one.image)
            momentum = 0.9 * momentum + smoothed(gradient)
            yield momentum

    options: dict[str, Any] = {"probability": 0.6, "resize": 1.25, "kernel": 3, "decay": 0.9}
    follows(name, transcription, model=MODEL, shape=SHAPE, **options)
