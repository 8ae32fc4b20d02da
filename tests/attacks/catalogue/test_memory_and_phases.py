"""Attacks that read the run's memory, or have their own steps: NI, VMI, GRA, GI, PI."""

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from .by_hand import One, follows, mean_unit


def test_ni() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            ahead = one.image + one.per_pixel(one.limits.step_size) * 0.8 * momentum
            momentum = 0.8 * momentum + mean_unit(one.gradient(ahead))
            yield momentum

    follows("ni", transcription, decay=0.8)


def around(one: One, radius: float, neighbours: int) -> Tensor:
    """Return the mean gradient at points near the image."""
    noise = one.per_pixel(radius) * (2 * one.uniform("neighbours", neighbours, *one.clean.shape) - 1)
    return torch.stack([one.gradient(one.image + offset) for offset in noise]).mean(0)


def test_vmi() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum, variance = torch.zeros_like(one.clean), torch.zeros_like(one.clean)
        while True:
            here = one.gradient(one.image)
            momentum = 0.9 * momentum + mean_unit(here + variance)
            variance = around(one, 1.5 * one.limits.eps, 3) - here
            yield momentum

    follows("vmi", transcription, neighbours=3, decay=0.9)


def test_gra() -> None:
    def transcription(one: One) -> Iterator[None]:
        momentum, sign = torch.zeros_like(one.clean), torch.zeros_like(one.clean)
        factor = torch.full_like(one.clean, 1 / 0.5)
        while True:
            here, nearby = one.gradient(one.image), around(one, 0.7 * one.limits.eps, 3)
            cosine = torch.nn.functional.cosine_similarity(here.flatten(), nearby.flatten(), dim=0)
            momentum = momentum + mean_unit(cosine * here + (1 - cosine) * nearby)
            factor = factor.where(momentum.sign() == sign, 0.5 * factor)
            sign = momentum.sign()
            steepest = sign if one.limits.norm == "linf" else momentum / momentum.norm()
            one.image = one.inside(one.image + one.limits.step_size * factor * steepest)
            yield None

    follows("gra", transcription, steps=6, neighbours=3, beta=0.7, eta=0.5)


def test_gi() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        for step in count(-3):
            if step == 0:
                one.image = one.clean
                continue
            momentum = 0.9 * momentum + mean_unit(one.gradient(one.image))
            if step < 0:
                one.move(momentum, 4 * one.limits.step_size)
            else:
                yield momentum

    follows("gi", transcription, warm_up=3, stretch=4.0, decay=0.9)


def test_pi() -> None:
    kernel = torch.full((1, 1, 3, 3), 1 / 8, dtype=torch.float64)
    kernel[0, 0, 1, 1] = 0

    def transcription(one: One) -> Iterator[None]:
        amplified, eps = torch.zeros_like(one.clean), one.limits.eps
        while True:
            step = 4 * one.limits.step_size * one.gradient(one.image).sign()
            amplified = amplified + step
            cut = (amplified.abs() - eps).clamp(min=0) * amplified.sign()
            handed = 0.5 * eps * torch.nn.functional.conv2d(cut[:, None], kernel, padding=1)[:, 0].sign()
            amplified = amplified + handed
            one.image = one.inside(one.image + step + handed)
            yield None

    follows("pi", transcription, norms=["linf"], steps=6, shape=(3, 6, 6), amplification=4.0, projection=0.5)
