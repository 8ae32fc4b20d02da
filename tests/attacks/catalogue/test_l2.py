"""Attacks of papers on the L-inf ball, in L2: a change of each pixel is an equal share of the length."""

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.offsets import per_pixel

from ..scene import budget, build, examples, network, run

TILED = (1, 8, 8)


def test_an_equal_change_of_all_pixels_has_the_length() -> None:
    images = torch.zeros(2, 3, 5, 7, dtype=torch.float64)
    for norm, order in (("linf", float("inf")), ("l2", 2)):
        change = per_pixel(images.new_full((2,), 0.9), norm, images).expand_as(images)
        lengths = torch.linalg.vector_norm(change.flatten(1), ord=order, dim=1)
        torch.testing.assert_close(lengths, torch.full_like(lengths, 0.9))


@pytest.mark.parametrize("name", ["ni", "vmi", "gra", "svre"])
def test_points_near_an_image_are_as_near_as_in_linf(name: str) -> None:
    """As a mean over the pixels, none is further away than 4 times a pixel's share of eps."""
    share, steps = 0.1, 3
    limits = budget("l2", eps=share * 8, step_size=share * 8 / steps, steps=steps)
    given, model = examples(shape=TILED), network()
    away = []

    def watch(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        points = inputs[0].detach().unflatten(0, (len(given.ids), -1))
        away.append((points - given.images[:, None]).abs().flatten(2).mean(2).max().item())

    with model.register_forward_pre_hook(watch):
        run(build(name, limits, TILED), model, given)
    assert 0 < max(away) <= 4 * share
