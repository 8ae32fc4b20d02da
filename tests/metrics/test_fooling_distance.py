"""The distance at which a target is fooled, on a network of which the outcomes are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.types import Examples
from bench_metrics.fooling_distance import FoolingDistance, median


class Brightness(nn.Module):
    """Class 1 where the mean exceeds one half."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([torch.full_like(mean, 0.5), mean], 1)


CLEAN = torch.full((3, 2, 2, 2), 0.4)
MOVED = CLEAN + torch.tensor([0.2, 0.05, 0.2]).view(3, 1, 1, 1)
LABELS = torch.tensor([0, 0, 1])  # the third is wrong already


@pytest.mark.parametrize(("norm", "size"), [("linf", 0.2), ("l2", 0.2 * 8**0.5), ("l1", 1.6), ("l0", 4)])
def test_rows_are_the_distance_zero_or_infinite(norm: str, size: float) -> None:
    given = Examples(CLEAN, LABELS, tuple("abc"))
    rows = FoolingDistance(norm).observe(given, MOVED, Brightness())  # type: ignore[arg-type]
    assert rows["distance"].tolist() == pytest.approx([size, math.inf, 0], rel=1e-6)


def test_an_image_that_the_attack_left_alone_is_not_fooled() -> None:
    given = Examples(CLEAN, LABELS, tuple("abc"))
    rows = FoolingDistance("l2").observe(given, CLEAN, Brightness())
    assert rows["distance"].tolist() == [math.inf, math.inf, 0]


def test_a_target_class_must_be_reached() -> None:
    given = Examples(CLEAN, LABELS, tuple("abc"), torch.tensor([1, 1, 0]))
    rows = FoolingDistance("linf").observe(given, MOVED, Brightness())
    assert rows["distance"].tolist() == pytest.approx([0.2, math.inf, 0], rel=1e-6)


def test_the_scores() -> None:
    distances = np.array([0.0, 1.0, 2.0, np.inf, 5.0])
    scores = {score.name: score for score in FoolingDistance("l2").summarise({"distance": distances})}
    assert scores["median"].value == 2
    assert scores["mean"].value == 2
    assert scores["fooled"].value == 0.8
    assert scores["mean"].n == 4


def test_the_median_is_infinite_where_half_of_the_images_are_not_fooled() -> None:
    assert median("median", np.array([1.0, np.inf, np.inf])).value == math.inf
    assert median("median", np.array([1.0, np.inf])).value == math.inf
    some = median("median", np.array([1.0] * 9 + [np.inf] * 6))
    assert (some.value, some.low, some.high) == (1, 1, math.inf)
    assert median("median", np.array([1.0, 2.0, np.inf])).value == 2
    assert math.isnan(median("median", np.array([])).value)


def test_the_interval_of_the_median_covers_it() -> None:
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        score = median("median", generator.exponential(size=60))
        covered.append(score.low <= math.log(2) <= score.high)
    assert 0.93 <= np.mean(covered) <= 1  # 95%, and its standard error is 1%
