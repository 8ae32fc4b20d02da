"""Attacks that make copies of the input, from the equations of their papers: MaskBlock, US-MM, DEM, SIA, BSR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from scipy.fft import dct
from torch import Tensor
from torch.nn.functional import interpolate, pad

from bench_attacks.parts.dem import resized
from bench_attacks.sampling import Bounds, sampled

from .by_hand import One, follows, slope

SHAPES = [(1, 6, 6), (3, 7, 5)]


def mean_loss(one: One, copies: list[Callable[[Tensor], Tensor]]) -> Tensor:
    """Return the gradient of the mean loss over copies, each a function of the image."""

    def mean(at: Tensor) -> Tensor:
        return torch.stack([one.loss(one.model(copy(at)[None]))[0] for copy in copies]).mean()

    return slope(mean, one.image)


@pytest.mark.parametrize("shape", SHAPES)
def test_maskblock(shape: tuple[int, int, int]) -> None:
    _, height, width = shape
    cells = {6: [(0, 2), (2, 4), (4, 6)], 7: [(0, 3), (3, 5), (5, 7)], 5: [(0, 2), (2, 4), (4, 5)]}

    def transcription(one: One) -> Iterator[Tensor]:
        masks = []
        for top, bottom in cells[height]:
            for left, right in cells[width]:
                mask = torch.ones(shape, dtype=torch.float64)
                mask[:, top:bottom, left:right] = 0
                masks.append(mask)
        while True:
            yield mean_loss(one, [lambda at, mask=mask: at * mask for mask in masks])

    follows("maskblock", transcription, shape=shape, mask_grid=3)


def test_usmm() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        assert one.pool is not None
        others = one.pool.images[one.pool.labels != one.given.labels]
        while True:
            total = torch.zeros_like(one.clean)
            for rank in (one.uniform("mix mask", 2) * len(others)).long():
                mask = 1 - 0.4 + 2 * 0.4 * others[rank]
                for scale in (0.2, 0.55, 0.9):
                    total += one.gradient((scale * one.image * mask).clamp(0, 1))
            yield total

    options = {
        "usmm_mixed": 2,
        "usmm_scales": 3,
        "lowest_scale": 0.2,
        "highest_scale": 0.9,
        "mask_spread": 0.4,
        "usmm_pool": 6,
    }
    follows("usmm", transcription, **options)


@pytest.mark.parametrize("fitting", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_dem(shape: tuple[int, int, int], fitting: bool) -> None:
    _, height, width = shape

    def copy(at: Tensor, rate: float, scale: float, down: float, right: float) -> Tensor:
        canvas = torch.zeros(shape[0], math.floor(height * rate), math.floor(width * rate), dtype=torch.float64)
        tall, wide = canvas.shape[1:]
        inner = (height + math.floor(scale * (tall - height)), width + math.floor(scale * (wide - width)))
        top, left = math.floor(down * (tall - inner[0])), math.floor(right * (wide - inner[1]))
        canvas[:, top : top + inner[0], left : left + inner[1]] = interpolate(at[None], inner, mode="bilinear")[0]
        return interpolate(canvas[None], (height, width), mode="bilinear")[0]

    def transcription(one: One) -> Iterator[Tensor | None]:
        while True:
            drawn = one.uniform("resized copies", 3, 3).tolist()
            copies = list(zip((1.4, 1.8, 2.2), drawn, strict=True))
            gradient = slope(
                lambda at, copies=copies: one.loss(
                    torch.stack([one.model(copy(at, rate, *numbers)[None]) for rate, numbers in copies]).mean(0)
                )[0],
                one.image,
            )
            if fitting:
                one.move(gradient, one.limits.eps)
            yield None if fitting else gradient

    options = {"canvases": 3, "smallest_canvas": 1.4, "largest_canvas": 2.2, "region_fitting": fitting}
    follows("dem", transcription, shape=shape, **options)


def test_a_canvas_is_larger_than_the_smallest_image() -> None:
    image = torch.ones(1, 6, 6, dtype=torch.float64)
    copy = resized(image, 1.01, 0.0, 0.0, 0.0)  # 6 x 6 on 7 x 7
    assert copy[0, 0, 0] == 1
    assert copy[0, 5, 5] < 1


def structured(at: Tensor, operation: int, strength: float, noise: Tensor, kept: Tensor) -> Tensor:
    """Return a block [c, h, w] after one of SIA's operations, in the order of the authors' table."""
    _, height, width = at.shape
    match operation:
        case 0:
            down = math.floor(strength * height)
            return torch.cat([at[:, height - down :], at[:, : height - down]], 1)
        case 1:
            right = math.floor(strength * width)
            return torch.cat([at[:, :, width - right :], at[:, :, : width - right]], 2)
        case 2:
            return at[:, list(range(height))[::-1]]
        case 3:
            return at[:, :, list(range(width))[::-1]]
        case 4:
            return at.rot90(2, (1, 2))
        case 5:
            return at * strength
        case 6:
            return (at + noise).clamp(0, 1)
        case 7:
            small = (math.floor(height * 0.8) + 1, math.floor(width * 0.8) + 1)
            smaller = interpolate(at[None], small, mode="bilinear")
            return interpolate(smaller, (height, width), mode="bilinear")[0].clamp(0, 1)
        case 8:
            down, right = (torch.from_numpy(dct(np.eye(side), norm="ortho", axis=0)) for side in (height, width))
            down[height - math.floor(0.4 * height) :] = 0
            right[width - math.floor(0.4 * width) :] = 0
            return down.T @ down @ at @ right.T @ right
        case _:
            return at * kept.view(-1, 1, 1) / 0.9


def borders(numbers: Tensor, blocks: int) -> list[int]:
    """Return where an axis is cut: after the pixels with the smallest numbers."""
    smallest = sorted(range(len(numbers)), key=lambda i: numbers[i].item())[: blocks - 1]
    return [0, *sorted(pixel + 1 for pixel in smallest), len(numbers) + 1]


@pytest.mark.parametrize("operations", ["all", "seven"])
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 11, 9)])
def test_sia(shape: tuple[int, int, int], operations: str) -> None:
    channels, height, width = shape
    used = set()

    def copies(one: One) -> list[Callable[[Tensor], Tensor]]:
        down, right = one.uniform("structure y", 8, height - 1), one.uniform("structure x", 8, width - 1)
        chosen = (one.uniform("structure operations", 8, 9) * (10 if operations == "all" else 7)).long()
        strengths = one.uniform("structure strengths", 8, 9)
        noise = 0.2 * (2 * one.uniform("structure noise", 8, *shape) - 1)
        kept = one.uniform("structure dropout", 8, 9, channels, 1, 1) >= 0.1
        used.update(chosen.flatten().tolist())

        def copy(at: Tensor, j: int) -> Tensor:
            made = torch.empty(shape, dtype=torch.float64)
            rows, columns = borders(down[j], 3), borders(right[j], 3)
            for place in range(9):
                area = (slice(None), slice(*rows[place // 3 :][:2]), slice(*columns[place % 3 :][:2]))
                strength = strengths[j, place].item()
                made[area] = structured(at[area], int(chosen[j, place]), strength, noise[j][area], kept[j, place])
            return made

        return [partial(copy, j=j) for j in range(8)]

    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            yield mean_loss(one, copies(one))

    follows("sia", transcription, shape=shape, steps=3, sia_copies=8, sia_noise=0.2, operations=operations)
    assert used == set(range(10 if operations == "all" else 7))


def test_samples_are_those_of_grid_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 5, 7, generator=generator, dtype=torch.float64).requires_grad_()
    grid = (3 * torch.rand(2, 4, 6, 2, generator=generator, dtype=torch.float64) - 1.5).requires_grad_()
    rows, columns = (grid[..., 1] + 1) * 2, (grid[..., 0] + 1) * 3
    found = sampled(images, rows, columns, Bounds(0, 5), Bounds(0, 7))
    expected = torch.nn.functional.grid_sample(images, grid, align_corners=True)
    torch.testing.assert_close(found, expected)
    weights = torch.rand(found.shape, generator=generator, dtype=torch.float64)
    slopes = [torch.autograd.grad((weights * samples).sum(), (images, grid)) for samples in (found, expected)]
    torch.testing.assert_close(*slopes)


def turned(block: Tensor, angle: float) -> Tensor:
    """Rotate a block [c, h, w] about its centre; what comes from outside is 0."""
    _, height, width = block.shape
    padded = pad(block, (1, 1, 1, 1))
    made = torch.zeros_like(block)
    for row in range(height):
        for column in range(width):
            y, x = row - (height - 1) / 2, column - (width - 1) / 2
            down = math.cos(angle) * y - math.sin(angle) * x + (height - 1) / 2
            right = math.sin(angle) * y + math.cos(angle) * x + (width - 1) / 2
            top, left = math.floor(down), math.floor(right)
            if not (-1 <= top < height and -1 <= left < width):
                continue
            a, b = down - top, right - left
            corners = padded[:, top + 1 : top + 3, left + 1 : left + 3]
            weights = torch.tensor([[(1 - a) * (1 - b), (1 - a) * b], [a * (1 - b), a * b]], dtype=torch.float64)
            made[:, row, column] = (corners * weights).sum((1, 2))
    return made


def lengths(weights: Tensor, side: int) -> list[int]:
    shares = [round(share) for share in (weights / weights.sum() * side).tolist()]
    shares[shares.index(max(shares))] += side - sum(shares)
    return shares


@pytest.mark.parametrize(("shape", "blocks"), [((1, 6, 6), 2), ((3, 9, 7), 3)])
def test_bsr(shape: tuple[int, int, int], blocks: int) -> None:
    def copies(one: One) -> list[Callable[[Tensor], Tensor]]:
        numbers = one.uniform("block shuffle", 3, 4, blocks)
        angles = math.radians(50) * (2 * one.uniform("block rotation", 3, blocks**2) - 1)

        def copy(at: Tensor, j: int) -> Tensor:
            tall, down, wide, right = numbers[j]
            bands = []
            for i, band in enumerate(at.split(lengths(tall, shape[1]), 1)):
                parts = band.split(lengths(wide, shape[2]), 2)
                made = [turned(part, angles[j, i * blocks + k].item()) for k, part in enumerate(parts)]
                bands.append(torch.cat([made[k] for k in right.argsort().tolist()], 2))
            return torch.cat([bands[i] for i in down.argsort().tolist()], 1)

        return [partial(copy, j=j) for j in range(3)]

    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            yield mean_loss(one, copies(one))

    follows("bsr", transcription, shape=shape, steps=3, bsr_copies=3, bsr_blocks=blocks, block_angle=50.0)
