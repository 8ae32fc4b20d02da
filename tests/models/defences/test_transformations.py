"""Each transformation against its definition, SciPy or Pillow, for one and three channels."""

import importlib.util
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import median_filter
from scipy.optimize import minimize
from torch import Tensor

from bench_core.errors import UsageError
from bench_models.defences import jpeg
from bench_models.defences.bit_depth import BitDepth
from bench_models.defences.jpeg import Jpeg
from bench_models.defences.median import Median
from bench_models.defences.noise import Noise
from bench_models.defences.resize_pad import ENLARGE, ResizePad
from bench_models.defences.total_variation import TotalVariation, divergence, gradient, minimised
from bench_models.defended import Draws, image_keys

NO_DRAWS = Draws([], "none")


def some_images(channels: int, height: int = 12, width: int = 12, count: int = 4) -> Tensor:
    """Return images of 8 bits."""
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (count, channels, height, width), generator=generator) / 255


def draws_for(images: Tensor, purpose: str = "test") -> Draws:
    return Draws(image_keys(images), purpose)


@pytest.fixture(params=[1, 3])
def images(request: pytest.FixtureRequest) -> Tensor:
    return some_images(request.param)


@pytest.mark.parametrize("bits", [1, 3, 5, 8])
def test_bits_are_the_nearest_levels(bits: int, images: Tensor) -> None:
    levels = torch.arange(2**bits, dtype=torch.float64) / (2**bits - 1)
    found = BitDepth(bits)(images, NO_DRAWS)
    distance = (images.double()[..., None] - levels).abs().amin(-1)
    assert torch.allclose((images - found).abs().double(), distance, atol=1e-6)
    assert torch.allclose((found.double()[..., None] - levels).abs().amin(-1), torch.zeros(()).double(), atol=1e-6)
    assert len(found.unique()) <= 2**bits
    assert bits < 8 or torch.equal(found, images), "an image of 8 bits stays as it is"


@pytest.mark.parametrize("quality", [10, 75, 95])
def test_jpeg_is_what_pillow_reads_from_its_own_file(quality: int, images: Tensor) -> None:
    found = Jpeg(quality)(images, NO_DRAWS)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    for image, compressed in zip(images, found, strict=True):
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(io.BytesIO(file.getvalue()))).reshape(pixels.shape)
        assert np.array_equal((compressed * 255).round().permute(1, 2, 0).numpy(), expected)
    assert not torch.equal(found, images)


def test_jpeg_has_one_or_three_channels_and_needs_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"found images of 2 channels \(JPEG has 1 or 3\)"):
        Jpeg(75)(some_images(2), NO_DRAWS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"not installed \(try pip install pillow\)"):
        jpeg.RECIPE.identity(base={}, quality=75, adaptive=False)


@pytest.mark.parametrize("side", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [(12, 12), (5, 9), (3, 3)])
def test_the_median_is_scipys(side: int, size: tuple[int, int], images: Tensor) -> None:
    shown = some_images(images.shape[1], *size)
    expected = median_filter(shown.numpy(), size=(1, 1, side, side), mode="reflect")
    assert np.array_equal(Median(side)(shown, NO_DRAWS).numpy(), expected)


def test_noise_has_the_moments_of_its_definition(images: Tensor) -> None:
    large = images.repeat_interleave(8, -1).repeat_interleave(8, -2)
    added = (Noise(0.1)(large, draws_for(large)) - large) / 0.1
    assert abs(added.mean().item()) < 5 / math.sqrt(added.numel())
    assert abs(added.std().item() - 1) < 5 / math.sqrt(2 * added.numel())
    correlation = np.corrcoef(added.flatten(1).numpy())
    assert np.abs(correlation - np.eye(len(images))).max() < 5 / math.sqrt(added[0].numel())


def padded_by_hand(image: np.ndarray, height: int, top: int, left: int, full: tuple[int, int]) -> np.ndarray:
    """Resize by the definition of the nearest neighbour, pixel by pixel, and pad."""
    channels, old_height, old_width = image.shape
    width = min(full[1], round(old_width * height / old_height))
    result = np.zeros((channels, *full), dtype=image.dtype)
    for row in range(height):
        for column in range(width):
            result[:, top + row, left + column] = image[:, row * old_height // height, column * old_width // width]
    return result


@pytest.mark.parametrize("size", [(12, 12), (10, 20)])
def test_an_image_is_resized_and_padded_as_its_draw_says(size: tuple[int, int], images: Tensor) -> None:
    shown = some_images(images.shape[1], *size)
    found = ResizePad(1.5, back=False)(shown, draws_for(shown))
    full = (math.ceil(size[0] * 1.5), math.ceil(size[1] * 1.5))
    assert found.shape == (len(shown), images.shape[1], *full)
    for image, padded, row in zip(shown, found, draws_for(shown).uniform((3,)).tolist(), strict=True):
        height = size[0] + int(row[0] * (full[0] - size[0]))
        width = min(full[1], round(size[1] * height / size[0]))
        top, left = int(row[1] * (full[0] - height + 1)), int(row[2] * (full[1] - width + 1))
        assert np.array_equal(padded.numpy(), padded_by_hand(image.numpy(), height, top, left, full))


def test_all_heights_and_positions_of_the_paper_occur() -> None:
    """299 pixels become 299 to 330, anywhere in 331."""
    white = torch.ones(1, 1, 299, 299)
    transform, heights, tops = ResizePad(ENLARGE, back=False), set(), set()
    for number in range(600):
        padded = transform(white, Draws([bytes([number % 256, number // 256])], "test"))
        assert padded.shape == (1, 1, 331, 331)
        rows = padded[0, 0].amax(1).nonzero().flatten()
        heights.add(len(rows))
        tops.add((int(rows[0]), len(rows)))
    assert heights == set(range(299, 331))
    assert max(top for top, _ in tops) > 20
    assert all(top + height <= 331 for top, height in tops)


def test_back_is_the_size_of_the_image(images: Tensor) -> None:
    found = ResizePad(1.5, back=True)(images, draws_for(images))
    padded = ResizePad(1.5, back=False)(images, draws_for(images))
    assert found.shape == images.shape
    assert torch.equal(found, torch.nn.functional.interpolate(padded, images.shape[-2:], mode="bilinear"))


def objective(images: np.ndarray, given: np.ndarray, kept: np.ndarray, weight: float, smooth: float = 0) -> float:
    """Return the objective of the paper for one image [c, h, w], with loops."""
    total = 0.0
    for channel, row, column in np.ndindex(images.shape):
        value = images[channel, row, column]
        down = images[channel, row + 1, column] - value if row + 1 < images.shape[1] else 0
        right = images[channel, row, column + 1] - value if column + 1 < images.shape[2] else 0
        total += weight * math.sqrt(down**2 + right**2 + smooth**2)
        total += kept[row, column] * (value - given[channel, row, column]) ** 2
    return total


@pytest.mark.parametrize(("weight", "keep"), [(0.1, 1.0), (0.1, 0.5), (0.4, 0.7)])
def test_total_variation_is_minimal(weight: float, keep: float) -> None:
    """As small as SciPy finds it, on images small enough for it."""
    shown = some_images(1, 4, 5, count=2).double()
    kept = (draws_for(shown).uniform((1, 4, 5)) < keep).double()
    found = minimised(shown, kept, weight, 3000)
    for image, mask, minimum in zip(shown.numpy(), kept[:, 0].numpy(), found.numpy(), strict=True):
        smoothed = minimize(
            lambda flat, image=image, mask=mask: objective(flat.reshape(image.shape), image, mask, weight, 1e-4),
            np.full(image.size, 0.5),
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 10**6},
        )
        assert objective(minimum, image, mask, weight) <= smoothed.fun + 1e-5
        assert objective(minimum, image, mask, weight) >= smoothed.fun - weight * image.size * 1e-4 - 1e-5


def test_two_pixels_move_towards_each_other_by_half_the_weight() -> None:
    """The closed form: `weight |z1 - z2| + (z1 - x1)^2 + (z2 - x2)^2`."""
    pair = torch.tensor([[[[0.2, 0.9]]], [[[0.5, 0.52]]]]).double()
    found = minimised(pair, torch.ones(2, 1, 1, 2).double(), 0.1, 500)
    expected = torch.tensor([[0.25, 0.85], [0.51, 0.51]]).double()
    assert torch.allclose(found.view(2, 2), expected, atol=1e-6)


def test_the_divergence_is_minus_the_adjoint_of_the_gradient(images: Tensor) -> None:
    field = gradient(some_images(images.shape[1] + 7)[:, : images.shape[1]])
    assert torch.allclose((gradient(images) * field).sum(), -(images * divergence(field)).sum(), rtol=1e-4)


def test_dropped_pixels_do_not_show(images: Tensor) -> None:
    transform = TotalVariation(0.03, 0.5, 100)
    kept = draws_for(images).uniform((1, 12, 12)) < 0.5
    other = images.where(kept, 1 - images)
    draws: Any = draws_for(images)
    assert torch.equal(transform(images, draws), transform(other, draws_for(images)))
    assert 0.4 < kept.float().mean() < 0.6


def test_a_hundred_iterations_are_near_the_minimum() -> None:
    shown = some_images(1, 28, 28)
    kept = (draws_for(shown).uniform((1, 28, 28)) < 0.5).float()
    few, many = (minimised(shown, kept, 0.03, count) for count in (100, 5000))
    assert (few - many).square().mean().sqrt() < 0.02
