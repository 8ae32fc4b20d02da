"""Variance reduction and input diversity: noisy and resized copies, against explicit loops."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import composed
from bench_attacks.parts.di import DiverseInput, resampled
from bench_attacks.parts.ir import ir
from bench_attacks.parts.sgm import sgm
from bench_attacks.parts.vr import vr

from .scene import budget, build, examples, gradient, network, run, run_state


def test_the_smoothed_gradient_is_the_mean_over_the_copies() -> None:
    given, model = examples(), network()
    attack = build("vr", budget(), copies=6, sigma=0.2)
    noise = run_state(given).rng.normal("smoothing", (6, 1, 6, 6))
    assert noise.std() == pytest.approx(1, abs=0.1)
    plain = build("pgd", budget())
    copies = [gradient(plain, model, given, given.images + 0.2 * noise[:, k]) for k in range(6)]
    actual = gradient(attack, model, given, given.images)
    torch.testing.assert_close(actual, torch.stack(copies).mean(0), rtol=1e-10, atol=1e-12)


def test_copies_without_noise_are_plain_ascent() -> None:
    given, model = examples(), network()
    plain = gradient(build("pgd", budget()), model, given, given.images)
    actual = gradient(build("vr", budget(), sigma=0.0), model, given, given.images)
    torch.testing.assert_close(actual, plain, rtol=1e-12, atol=1e-14)


def test_the_copies_are_fresh_at_each_step() -> None:
    given = examples()
    first, second = (run_state(given, step).rng.normal("smoothing", (2, 1, 6, 6)) for step in (1, 2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_only_the_classification_loss_is_smoothed(reduction: str) -> None:
    """HybridIR: the gradient of the loss summed over the copies + that of the interaction at the image itself."""
    given, model = examples(), network()
    moved = run(build("noise", budget()), model, given)[0]
    options: dict[str, Any] = {"grid": 3, "samples": 4, "cells": 3, "strength": 2.0}
    reduced = gradient(composed("", ir).build(budget(), **options), model, given, moved)
    interaction = reduced - gradient(build("pgd", budget()), model, given, moved)
    smoothed = gradient(build("vr", budget(), copies=5), model, given, moved)
    options |= {"copies": 5, "reduction": reduction}
    both = gradient(composed("", vr, ir).build(budget(), **options), model, given, moved)
    weight = 5 if reduction == "sum" else 1
    torch.testing.assert_close(both, weight * smoothed + interaction, rtol=1e-9, atol=1e-11)
    hybrid = build("hybrid_ir", budget(), gamma=0.3, **options)
    parts = composed("", sgm, ir, vr).build(budget(), gamma=0.3, **options)
    torch.testing.assert_close(
        gradient(hybrid, model, given, moved), gradient(parts, model, given, moved), rtol=1e-9, atol=1e-11
    )


def test_vr_alone_is_the_same_with_both_reductions() -> None:
    given, model = examples(), network()
    results = [run(build("vr", budget("l2"), reduction=reduction), model, given)[-1] for reduction in ("sum", "mean")]
    assert torch.equal(*results)


def by_hand(image: Tensor, resize: float, numbers: Tensor) -> Tensor:
    """Resize and pad one image [c, h, w] as the authors do, for given random numbers."""
    _, scale, down, right = numbers.tolist()
    side = image.shape[-1]
    canvas = max(round(side * resize), side + 1) if resize > 1 else side
    low = side if resize > 1 else min(round(side * resize), side - 1)
    inner = low + int(scale * (canvas - low))
    small = nn.functional.interpolate(image[None], size=[inner, inner], mode="nearest")[0]
    top, left = int(down * (canvas - inner)), int(right * (canvas - inner))
    return nn.functional.pad(small, (left, canvas - inner - left, top, canvas - inner - top))


@pytest.mark.parametrize("resize", [330 / 299, 1.5, 0.9, 0.5])
def test_every_image_is_resized_and_padded_as_the_authors_do(resize: float) -> None:
    given = examples(6, (3, 20, 20))
    state = run_state(given, 4)
    numbers = state.rng.uniform("diversity", (4,))
    with DiverseInput(1.0, resize).apply(nn.Identity(), state) as diverse:
        moved = diverse(given.images.repeat_interleave(2, 0))
    for i in range(6):
        for point in (2 * i, 2 * i + 1):
            assert torch.equal(moved[point], by_hand(given.images[i], resize, numbers[i]))
    assert moved.shape[-1] == {330 / 299: 22, 1.5: 30, 0.9: 20, 0.5: 20}[resize]


def test_the_authors_sides_are_299_to_330() -> None:
    scale = torch.tensor([0.0, 0.999999], dtype=torch.float64)
    source, inside = resampled(299, 330 / 299, scale, torch.zeros(2, dtype=torch.float64))
    assert source.shape == (2, 330)
    assert inside.sum(1).tolist() == [299, 329]


@pytest.mark.parametrize("side", [5, 7, 28, 33])
def test_resampling_is_nearest_neighbour(side: int) -> None:
    row = torch.arange(side, dtype=torch.float64)
    for share in torch.linspace(0, 0.99, 9, dtype=torch.float64):
        source, inside = resampled(side, 1.7, share[None], torch.zeros(1, dtype=torch.float64))
        size = int(inside.sum())
        expected = nn.functional.interpolate(row[None, None], size=size, mode="nearest-exact")[0, 0]
        assert (row[source[0][:size]] - expected).abs().max() <= 1  # the two conventions differ by half a pixel
        assert row[source[0][:size]].tolist() == [i * side // size for i in range(size)]


def test_each_image_has_its_own_draw_with_the_given_probability() -> None:
    given = examples(4, (1, 10, 10))
    counts = []
    for step in range(200):
        with DiverseInput(0.3, 0.5).apply(nn.Identity(), run_state(given, step)) as diverse:
            counts.append((diverse(given.images) != given.images).flatten(1).any(1)[1:])
    share = torch.stack(counts).double().mean(0)
    assert (share - 0.3).abs().max() < 0.15
    assert len({tuple(row.tolist()) for row in torch.stack(counts)}) > 4, "one draw for the whole batch"


def test_no_diversity_is_bitwise_plain_ascent() -> None:
    given, model = examples(), network()
    plain = run(build("pgd", budget()), model, given)[-1]
    assert torch.equal(run(build("di", budget(), probability=0.0), model, given)[-1], plain)
    assert not torch.equal(run(build("di", budget(), probability=1.0), model, given)[-1], plain)


def test_a_network_of_one_size_is_rejected_with_what_to_change() -> None:
    given, model = examples(), nn.Sequential(nn.Flatten(), nn.Linear(36, 4)).double().requires_grad_(False)
    with pytest.raises(ValueError, match=r"resize: the network fails on 7 x 7 pixels \(try 0.9"):
        run(build("di", budget(), probability=1.0), model, given)
    assert len(run(build("di", budget(), probability=1.0, resize=0.9), model, given)) == 3
