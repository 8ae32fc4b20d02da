"""Attacks that make copies of the input by their frequencies, from the equations of their papers: SSM and MFI."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from scipy.fft import dctn, idctn
from torch import Tensor

from .by_hand import One, follows
from .test_input_views import SHAPES, mean_loss


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

    follows("ssm", transcription, shape=shape, spectra=3, spectrum_spread=0.3, spectrum_noise=0.8)


@pytest.mark.parametrize("mask", ["soft", "hard"])
@pytest.mark.parametrize("shape", SHAPES)
def test_mfi(shape: tuple[int, int, int], mask: str) -> None:
    def waves(side: int, reach: int) -> Tensor:
        """Return `exp(-2 pi i k x / side)` for the frequencies k from -reach on, [side, side]."""
        x = torch.arange(side, dtype=torch.float64)
        return torch.exp(-2j * math.pi * (x - reach)[:, None] * x / side)

    _, height, width = shape
    down, right = waves(height, height // 2), waves(width, width // 2)
    lengths = [
        [math.hypot((k - height // 2) / height, (m - width // 2) / width) for m in range(width)] for k in range(height)
    ]
    beyond = torch.tensor(lengths, dtype=torch.float64) - 0.3
    low = 1 / (1 + torch.exp(beyond * 22.4)) if mask == "soft" else (beyond <= 0).double()

    def spectrum(image: Tensor) -> Tensor:
        return torch.einsum("kh,mw,chw->ckm", down, right, image + 0j)

    def back(coefficients: Tensor) -> Tensor:
        return torch.einsum("kh,mw,ckm->chw", down.conj(), right.conj(), coefficients).real / (height * width)

    def copies(one: One) -> list[Callable[[Tensor], Tensor]]:
        assert one.pool is not None
        others = one.pool.images[one.pool.labels != one.given.labels]
        donors = others[(one.uniform("frequency donors", 2) * len(others)).long()]
        shares = one.uniform("frequency shares", 2) if mask == "soft" else torch.zeros(2)
        noise = 0.1 * one.normal("frequency noise", 2, *shape)

        def copy(at: Tensor, j: int, scale: int) -> Tensor:
            high = shares[j] * spectrum(at) + (1 - shares[j]) * spectrum(donors[j])
            return (back(low * spectrum(at) + (1 - low) * high) + noise[j]) / 2**scale

        return [partial(copy, j=j, scale=scale) for j in range(2) for scale in range(3)]

    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            yield mean_loss(one, copies(one))

    options = {"mfi_mixed": 2, "mfi_scales": 3, "mfi_radius": 0.3, "mfi_noise": 0.1, "mfi_mask": mask, "mfi_pool": 6}
    follows("mfi", transcription, shape=shape, steps=3, **options)
