"""Games of images: the baseline of absent cells, the value computed from the logits, and its class."""

import math

import pytest
import torch
from torch import Tensor

from bench_core.types import Examples
from bench_metrics.coalitions.image_games import BLUR, OUTPUTS, baseline, game_classes, image_game
from tests.toys import toy_network


def images(count: int = 3, channels: int = 2, side: int = 6) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)).double()


def test_baselines_match_their_names() -> None:
    shown, average = images(), images(1)[0] * 0.5
    assert (baseline("zero", shown, average) == 0).all()
    assert torch.equal(baseline("pixel_mean", shown, average), average.expand(3, -1, -1, -1))
    per_channel = baseline("channel_mean", shown, average)
    for channel in range(2):
        assert torch.allclose(per_channel[:, channel], average[channel].mean())


def test_the_blur_is_a_gaussian_with_edges_repeated() -> None:
    """Compare with the double sum over a padded image, one pixel at a time."""
    shown, side = images(1, 1, 6), 6
    sigma, padded = BLUR * side, torch.nn.functional.pad(images(1, 1, 6), (6, 6, 6, 6), mode="replicate")[0, 0]
    blurred = baseline("blur", shown, shown[0])[0, 0]
    for row, column in ((0, 0), (2, 5), (3, 3)):
        total = weight = 0.0
        for other_row in range(-6, 12):
            for other_column in range(-6, 12):
                w = math.exp(-((other_row - row) ** 2 + (other_column - column) ** 2) / (2 * sigma**2))
                total, weight = total + w * padded[other_row + 6, other_column + 6].item(), weight + w
        assert blurred[row, column].item() == pytest.approx(total / weight, abs=1e-12)
    flat = torch.full((2, 3, 6, 6), 0.3).double()
    assert torch.allclose(baseline("blur", flat, flat[0]), flat)


def test_outputs_equal_their_formulas() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).double()
    classes = torch.tensor([0, 3, 1, 2, 1])
    for row, (h, y) in enumerate(zip(logits.tolist(), classes.tolist(), strict=True)):
        rest = [logit for index, logit in enumerate(h) if index != y]
        expected = {
            "log_prob": h[y] - math.log(sum(map(math.exp, h))),
            "others": math.log(sum(map(math.exp, rest))),
            "logit": h[y],
            "margin": h[y] - max(rest),
        }
        assert {name: OUTPUTS[name](logits, classes)[row].item() for name in expected} == pytest.approx(expected)
    assert set(OUTPUTS) == {"log_prob", "others", "logit", "margin"}


def test_the_game_shows_the_cells_of_the_coalition_and_the_baseline_elsewhere() -> None:
    shown = images(3, 1, 4)
    network, classes = toy_network().double(), torch.tensor([0, 1, 2])
    game = image_game(network, shown, torch.zeros_like(shown), 2, "log_prob", classes)
    upper_right = torch.zeros_like(shown)
    upper_right[:, :, :2, 2:] = shown[:, :, :2, 2:]
    values = game(torch.tensor([[[False, True, False, False], [True] * 4]]))
    for k, mixed in enumerate((upper_right, shown)):
        expected = network(mixed).log_softmax(1)[torch.arange(3), classes]
        assert torch.allclose(values[:, k], expected)
    part = game.take(torch.tensor([2, 0]))
    assert torch.allclose(part(torch.ones(1, 1, 4, dtype=torch.bool))[:, 0], values[[2, 0], 1])


def test_the_watched_class_is_the_true_one_or_that_of_the_attack() -> None:
    network, shown = toy_network().double(), images(6, 1, 4)
    predicted = network(shown).argmax(1)
    labels = torch.where(torch.arange(6) < 3, predicted, (predicted + 1) % 3)
    clean = Examples(shown, labels, tuple("abcdef"))
    assert torch.equal(game_classes("true", clean, shown, network), labels)
    target = game_classes("target", clean, shown, network)
    assert torch.equal(target[3:], predicted[3:])  # fooled: the predicted class
    assert (target[:3] != labels[:3]).all()
    assert torch.equal(target[:3], network(shown).argsort(1)[:3, -2])
    targeted = Examples(shown, labels, clean.ids, (labels + 1) % 3)
    assert torch.equal(game_classes("target", targeted, shown, network), targeted.targets)
