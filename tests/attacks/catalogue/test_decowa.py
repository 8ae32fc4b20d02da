"""DeCoWA, with the thin-plate spline of SciPy and samples of one pixel at a time."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from torch import Tensor
from torch.nn.functional import grid_sample

from bench_attacks.parts.decowa import influences, warped

from .by_hand import One, follows, slope


def cardinal(points: int, height: int, width: int) -> Tensor:
    """Return the splines that are 1 at one inner control point and 0 at the others, at each pixel."""
    ticks = np.linspace(-1, 1, points)
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    pixels = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    inner = [i for i, point in enumerate(grid) if (abs(point) < 1).all()]
    values = RBFInterpolator(grid, np.eye(len(grid))[:, inner], kernel="thin_plate_spline", degree=1)(
        np.stack(pixels, -1).reshape(-1, 2)
    )
    return torch.from_numpy(values.T.reshape(-1, height, width))


@pytest.mark.parametrize("points", [3, 5])
def test_the_spline_is_that_of_scipy(points: int) -> None:
    torch.testing.assert_close(influences(points, 9, 12), cardinal(points, 9, 12), rtol=0, atol=1e-9)


def test_without_a_shift_the_copy_is_the_image() -> None:
    images = torch.rand(2, 3, 9, 12, dtype=torch.float64)
    assert torch.equal(warped(images, torch.zeros(2, 1, 2, dtype=torch.float64), influences(3, 9, 12)), images)


@pytest.mark.parametrize(("shape", "points"), [((1, 6, 6), 3), ((3, 7, 5), 4)])
def test_decowa(shape: tuple[int, int, int], points: int) -> None:
    _, height, width = shape
    spline = cardinal(points, height, width)
    sides = [torch.linspace(-1, 1, side, dtype=torch.float64) for side in (height, width)]
    identity = torch.stack(torch.meshgrid(*sides, indexing="ij"), -1).flip(2)  # x before y

    def copy(at: Tensor, shift: Tensor) -> Tensor:
        moved = torch.einsum("phw,pd->hwd", spline, shift.flip(1))
        return grid_sample(at[None], (identity + moved)[None], align_corners=True)[0]

    def transcription(one: One) -> Iterator[Tensor]:
        def loss(at: Tensor, shift: Tensor) -> Tensor:
            return one.loss(one.model(copy(at, shift)[None]))[0]

        while True:
            total = torch.zeros_like(one.clean)
            for drawn in one.uniform("warping", 3, (points - 2) ** 2, 2):
                shift = 0.7 * (2 * drawn - 1)
                shift = shift - 0.02 * slope(lambda moved: loss(one.image, moved), shift)
                total += slope(lambda at, shift=shift: loss(at, shift), one.image)
            yield total / 3

    options = {"warpings": 3, "control_points": points, "warp_strength": 0.7, "warp_constraint": 0.02}
    follows("decowa", transcription, shape=shape, steps=3, **options)
