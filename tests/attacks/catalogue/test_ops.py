"""OPS: functions made of two to four operators, of neighbours of the image."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from bench_attacks.parts.dem import resized
from bench_attacks.parts.ops import OPERATORS, rotated

from .by_hand import One, follows, slope
from .test_input_views import structured

ANGLES = [5, -5, 15, -15, 45, -45, 90, -90, 180]


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 7, 5)])
@pytest.mark.parametrize("degrees", [0, *ANGLES])
def test_a_rotation_takes_the_nearest_pixel(shape: tuple[int, int, int], degrees: int) -> None:
    image = torch.rand(shape, dtype=torch.float64)
    assert torch.equal(rotated(degrees, [], image), turned(image, degrees))


def turned(image: Tensor, degrees: float) -> Tensor:
    _, height, width = image.shape
    angle, made = math.radians(degrees), torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            y, x = row - (height - 1) / 2, column - (width - 1) / 2
            down = round(math.cos(angle) * y - math.sin(angle) * x + (height - 1) / 2)
            right = round(math.sin(angle) * y + math.cos(angle) * x + (width - 1) / 2)
            if 0 <= down < height and 0 <= right < width:
                made[:, row, column] = image[:, down, right]
    return made


def operated(number: int, drawn: Tensor, image: Tensor) -> Tensor:
    """Return an image after one of the 31 operators."""
    if number == 0:
        return image
    if number < 5:
        return structured(image, (2, 3, 0, 1)[number - 1], drawn[0].item(), image, image)
    if number < 14:
        return turned(image, ANGLES[number - 5])
    if number < 21:
        return image / (number - 12)
    return resized(image, (11, 13, 15, 17, 19, 21, 23, 25, 27, 29)[number - 21] / 10, *drawn.tolist())


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 7, 5)])
def test_ops(shape: tuple[int, int, int]) -> None:
    used = set()

    def copies(one: One) -> list[Callable[[Tensor], Tensor]]:
        eps = one.limits.eps / (1 if one.limits.norm == "linf" else math.sqrt(math.prod(shape)))
        ratios = (one.uniform("operator radii", 2, 1, 1, 1) * 6).floor() * 0.25 + 0.25
        offsets = 0.7 * eps * ratios * (2 * one.uniform("operator offsets", 2, *shape) - 1)
        depths = 2 + (one.uniform("operator depths", 2, 3) * 3).long()
        chosen = (one.uniform("operators", 2, 3, 4) * 31).long()
        drawn = one.uniform("operator numbers", 2, 3, 4, 3)

        def copy(at: Tensor, j: int, k: int) -> Tensor:
            made = at + offsets[j]
            for level in range(int(depths[j, k])):
                used.add(int(chosen[j, k, level]))
                made = operated(int(chosen[j, k, level]), drawn[j, k, level], made)
            return made

        return [lambda at: at, *(partial(copy, j=j, k=k) for j in range(2) for k in range(3))]

    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            functions = copies(one)
            yield slope(
                lambda at, functions=functions: sum(one.loss(one.model(copy(at)[None]))[0] for copy in functions),
                one.image,
            )

    follows("ops", transcription, shape=shape, steps=3, ops_neighbours=2, operators=3, ops_beta=0.7)
    assert used == set(range(len(OPERATORS)))
