"""Images moved into a ball are the nearest of 8 bits inside it, against a search over all of them."""

from itertools import combinations, product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench_core.norms import perturbation_size
from bench_core.types import Budget
from bench_core.worker.contracts import check_images
from bench_core.worker.projection import moved_inside, nearest_levels_in_l1_ball
from tests.properties import UNTIMED

PIXELS = 4
FEW = arrays(np.int64, PIXELS, elements=st.integers(0, 6))


def levels(*values: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(each).float().view(1, 1, 2, 2) / 255 for each in values]


@settings(UNTIMED, max_examples=60)
@given(FEW, FEW, st.integers(0, 24))
def test_l1_against_all_images_of_few_levels(clean: np.ndarray, image: np.ndarray, radius: int) -> None:
    found = nearest_levels_in_l1_ball(clean.astype(float), image.astype(float), radius + 0.25)
    assert np.abs(found - clean).sum() <= radius
    every = np.array(list(product(range(7), repeat=PIXELS)))
    within = every[np.abs(every - clean).sum(1) <= radius]
    assert np.square(found - image).sum() == np.square(within - image).sum(1).min()
    ball = Budget("l1", (radius + 0.25) / 255, 0.1, 1)
    moved = (255 * moved_inside(*levels(clean, image), ball)).round().flatten().numpy()  # another of the nearest, maybe
    assert np.square(moved - image).sum() == np.square(found - image).sum()
    assert np.abs(moved - clean).sum() <= radius


@settings(UNTIMED, max_examples=60)
@given(FEW, FEW, st.integers(1, 24))
def test_l1_uses_up_a_radius_of_whole_levels(clean: np.ndarray, image: np.ndarray, radius: int) -> None:
    ball = Budget("l1", radius / 255, 0.1, 1)
    moved = (255 * moved_inside(*levels(clean, image), ball)).round().flatten().numpy()
    every = np.array(list(product(range(7), repeat=PIXELS)))
    within = every[np.abs(every - clean).sum(1) <= radius]
    assert np.square(moved - image).sum() == np.square(within - image).sum(1).min()


@settings(UNTIMED, max_examples=60)
@given(FEW, FEW, st.integers(0, PIXELS))
def test_l0_against_all_choices_of_pixels(clean: np.ndarray, image: np.ndarray, count: int) -> None:
    ball = Budget("l0", count, 0.1, 1)
    found = (255 * moved_inside(*levels(clean, image), ball)).round().flatten().numpy()
    choices = [list(chosen) for size in range(count + 1) for chosen in combinations(range(PIXELS), size)]
    distances = [np.square(np.delete(image - clean, chosen)).sum() for chosen in choices]
    assert np.square(found - image).sum() == min(distances)
    assert (found != clean).sum() <= count


@settings(UNTIMED, max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from(["linf", "l2", "l1", "l0"]), st.floats(0.01, 3), st.booleans())
def test_moved_images_are_inside_and_stay(seed: int, norm: str, share: float, on_levels: bool) -> None:
    """Of images with channels, at any distance; those inside are only rounded."""
    generator = torch.Generator().manual_seed(seed)
    clean, images = (torch.rand(3, 3, 4, 5, generator=generator) for _ in range(2))
    clean = (255 * clean).round() / 255 if on_levels else clean
    far = perturbation_size(images - clean, norm).max().item()
    room = 0.0 if norm == "l0" else perturbation_size((255 * clean).round() / 255 - clean, norm).max().item()
    eps = float(int(share * far)) if norm == "l0" else share * far + room
    ball = Budget(norm, eps, 0.1, 1)  # type: ignore[arg-type]
    moved = moved_inside(clean, images, ball)
    check_images(clean, moved, ball)
    assert torch.equal(moved_inside(clean, moved, ball), moved)
    for row in range(3):
        assert torch.equal(moved_inside(clean[row : row + 1], images[row : row + 1], ball), moved[row : row + 1])
    if share > 1.2 and norm != "l0":
        assert torch.equal(moved, torch.from_numpy(np.rint(255 * images.numpy()).astype(np.float32)) / 255)
