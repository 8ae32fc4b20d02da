"""Attacks along attributions or over transformed copies: TAIG, MuMoDIG, ANDA."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from .by_hand import One, follows, mean_unit, slope


def test_taig_s() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            path = [one.gradient(one.image * i / 4, "logit") for i in range(5)]
            yield one.image * torch.stack(path).mean(0)

    follows("taig_s", transcription, segments=4)


def test_taig_r() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        half = one.per_pixel(0.8 * one.limits.eps)
        while True:
            shifts = half * (2 * one.uniform("path", 4, *one.clean.shape) - 1)
            path = [one.gradient(one.image * i / 3 + shift, "logit") for i, shift in enumerate(shifts)]
            yield one.image * torch.stack(path).mean(0)

    follows("taig_r", transcription, segments=3, jitter=0.8)


def resampled(image: Tensor, source: Callable[[int, int], tuple[float, float]]) -> Tensor:
    """Interpolate an image at the source position of each pixel, pixel by pixel; 0 outside."""
    height, width = image.shape[-2:]
    rows = []
    for i in range(height):
        for j in range(width):
            row, column = source(i, j)
            value = torch.zeros(len(image), dtype=image.dtype)
            for r in range(height):
                for c in range(width):
                    weight = max(0.0, 1 - abs(row - r)) * max(0.0, 1 - abs(column - c))
                    if weight:
                        value = value + weight * image[:, r, c]
            rows.append(value)
    return torch.stack(rows, -1).view_as(image)


def transform(image: Tensor, draws: list[float]) -> Tensor:
    kind, (height, width) = int(draws[0] * 10), image.shape[-2:]
    if kind == 0:
        return image.roll(int(draws[1] * height), -2)
    if kind == 1:
        return image.roll(int(draws[1] * width), -1)
    if kind == 2:
        return image.flip(-2)
    if kind == 3:
        return image.flip(-1)
    if kind == 4:
        angle, y, x = math.radians(90 * draws[1] - 45), (height - 1) / 2, (width - 1) / 2

        def turned(i: int, j: int) -> tuple[float, float]:
            down, right = i - y, j - x
            return (
                y + math.cos(angle) * down - math.sin(angle) * right,
                x + math.sin(angle) * down + math.cos(angle) * right,
            )

        return resampled(image, turned)

    def on_canvas(place: int, side: int, share: float) -> float:
        canvas = round(1.5 * side)
        inner = side + int(draws[1] * (canvas - side))
        start = int(share * (canvas - inner))
        return ((place + 0.5) * canvas / side - start) * side / inner - 0.5

    return resampled(image, lambda i, j: (on_canvas(i, height, draws[2]), on_canvas(j, width, draws[3])))


def two_valued(image: Tensor, shares: Tensor) -> Tensor:
    """Return an image of which each channel has two values."""
    channels = []
    for channel, share in zip(image, shares, strict=True):
        level = channel.min() + share * (channel.max() - channel.min())
        channels.append(torch.where(channel >= level, level, channel.min()))
    return torch.stack(channels)


@pytest.mark.parametrize("aligned", [False, True])
def test_mumodig(aligned: bool) -> None:
    seen = set()

    def attribution(one: One, move: Callable[[Tensor], Tensor], levels: Tensor) -> Tensor:
        copy = move(one.image)
        base = two_valued(copy, levels)
        if aligned:
            inner = (copy - base) * one.gradient(base + 0.6 * (copy - base))
            return slope(lambda at: (move(at) * inner).sum(), one.image)
        along = slope(lambda at: one.loss(one.model((base + 0.6 * (move(at) - base))[None]))[0] / 0.6, one.image)
        return (copy - base) * along

    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            levels, draws = one.uniform("base levels", 4, 3), one.uniform("transformations", 3, 4).tolist()
            seen.update(int(draw[0] * 10) for draw in draws)
            total = attribution(one, lambda at: at, levels[0])
            for draw, level in zip(draws, levels[1:], strict=True):
                total = total + attribution(one, lambda at, draw=draw: transform(at, draw), level)
            momentum = 0.9 * momentum + mean_unit(total)
            yield momentum

    options = {"paths": 3, "position": 0.6, "enlarged": 1.5, "aligned": aligned, "decay": 0.9}
    follows("mumodig", transcription, shape=(3, 6, 5), steps=5, **options)
    assert seen == set(range(10)), "not every transformation was drawn"


def test_anda() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        gradients: list[Tensor] = []
        height, width = one.clean.shape[-2:]
        theta = [
            torch.tensor([[[1, 0, 0.4 * across], [0, 1, 0.4 * down]]], dtype=torch.float64)
            for across in (-1, 0, 1)
            for down in (-1, 0, 1)
        ]

        def translated(at: Tensor, by: Tensor) -> Tensor:
            grid = torch.nn.functional.affine_grid(by, [1, 3, height, width], align_corners=False)
            return torch.nn.functional.grid_sample(at[None], grid, align_corners=False)

        while True:
            for by in theta:
                gradients.append(slope(lambda at, by=by: one.loss(one.model(translated(at, by)))[0], one.image))
            yield torch.stack(gradients).mean(0)

    follows("anda", transcription, shape=(3, 6, 5), shifts=3, shift_reach=0.4)
