"""Attacks that make copies of the input, from the equations of their papers: MaskBlock, US-MM, DEM, SSM, SIA, BSR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from scipy.fft import dctn, idctn
from torch import Tensor
from torch.nn.functional import interpolate

from bench_attacks.parts.dem import resized

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

    options = {"masks": 2, "usmm_scales": 3, "lowest": 0.2, "highest": 0.9, "spread": 0.4, "usmm_pool": 6}
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


@pytest.mark.parametrize("shape", SHAPES)
def test_ssm(shape: tuple[int, int, int]) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        sigma = 0.8 * one.limits.eps / (1 if one.limits.norm == "linf" else math.sqrt(math.prod(shape)))
        while True:
            noise, uniform = one.normal("spectrum noise", 3, *shape), one.uniform("spectrum factors", 3, *shape)
            factors = 0.7 + 0.6 * uniform
            spectra = [dctn(one.image + sigma * noise[i], axes=(1, 2)) * factors[i].numpy() for i in range(3)]
            copies = [torch.from_numpy(idctn(spectrum, axes=(1, 2))) for spectrum in spectra]
            yield torch.stack([one.gradient(copy) for copy in copies]).mean(0)

    follows("ssm", transcription, shape=shape, spectra=3, rho=0.3, spectrum_noise=0.8)
