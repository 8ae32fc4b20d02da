"""The interaction metrics on networks: their cost, their values on known functions, independence of the batch."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.batches import FASTEST
from bench_core.logits import margin
from bench_core.types import Examples
from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.image_games import perturbation_game
from bench_metrics.coalitions.pairs import neighbours
from bench_metrics.coalitions.shapley import pairwise_interactions
from bench_metrics.interaction import Interaction
from bench_metrics.neighbour_interaction import NeighbourInteraction
from bench_metrics.pairwise_interaction import PairwiseInteraction

from ..toys import toy_network


def situation(count: int = 3, channels: int = 1, side: int = 4, seed: int = 0) -> tuple[nn.Module, Examples, Tensor]:
    """Return a toy network, clean images and perturbed images, in float64."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, channels, side, side, generator=generator).double()
    delta = 0.4 * torch.randn(count, channels, side, side, generator=generator).double()
    ids = tuple(f"image {i}" for i in range(count))
    network = toy_network(seed, (channels, side, side)).double()
    return network, Examples(images, torch.arange(count) % 3, ids), (images + delta).clamp(0, 1)


def streams(examples: Examples) -> ImageStreams:
    return ImageStreams(0, examples.ids)


def part(examples: Examples, chosen: list[int]) -> Examples:
    return Examples(examples.images[chosen], examples.labels[chosen], tuple(examples.ids[i] for i in chosen))


class Counting(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.inputs, self.calls, self.largest = network, 0, 0, 0

    def forward(self, images: Tensor) -> Tensor:
        self.inputs += len(images)
        self.calls += 1
        self.largest = max(self.largest, len(images))
        logits: Tensor = self.network(images)
        return logits


class Quadratic(nn.Module):
    """Logits (0, q(x)) with q quadratic, so for label 0 `v(S) = q(x + delta_S)` and `I_ab` is known."""

    def __init__(self, hessian: Tensor) -> None:
        super().__init__()
        self.hessian = hessian

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        q = 0.5 * (flat @ self.hessian * flat).sum(1) + flat.sum(1)
        return torch.stack([torch.zeros_like(q), q], dim=1)


def test_on_a_quadratic_function_the_interaction_is_delta_hessian_delta() -> None:
    """Lemma 1 with one pixel per cell; it is exact, because there are no terms of a higher order."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(9, 9, generator=generator).double()
    hessian = half + half.T
    _, examples, adversarial = situation(side=3)
    clean = Examples(examples.images, torch.zeros(3, dtype=torch.long), examples.ids)
    delta = (adversarial - clean.images).flatten(1)
    expected = delta[:, :, None] * hessian * delta[:, None, :] * (1 - torch.eye(9))
    actual = pairwise_interactions(perturbation_game(Quadratic(hessian), clean, adversarial, 3))
    assert torch.allclose(actual, expected, atol=1e-12)
    rows = Interaction(grid=3).observe(clean, adversarial, Quadratic(hessian), streams(clean))
    assert torch.allclose(rows["per_cell"], expected.sum(2), atol=1e-12)
    rows = NeighbourInteraction(grid=3, contexts=2).observe(clean, adversarial, Quadratic(hessian), streams(clean))
    corner = expected[:, 0, [1, 3, 4]].mean(1)  # a pair's interaction is the same in every context
    assert torch.allclose(rows["map"][:, 0].double(), corner, atol=1e-6)
    assert rows["standard_error"].max() < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("grid", [2, 4])
def test_the_exact_mean_is_that_of_all_pairs_and_takes_the_stated_passes(channels: int, grid: int) -> None:
    network, clean, adversarial = situation(channels=channels)
    counting = Counting(network)
    metric = Interaction(grid=grid)
    rows = metric.observe(clean, adversarial, counting, streams(clean))
    assert counting.inputs == 3 * (2 * grid**2 + 2)
    scores = {score.name: score for score in metric.summarise({k: v.numpy() for k, v in rows.items()})}
    if grid == 2:
        by_pairs = PairwiseInteraction(grid=2).observe(clean, adversarial, network, streams(clean))["interaction"]
        assert by_pairs.shape == (3, 6)
        assert scores["mean"].value == pytest.approx(by_pairs.mean().item(), abs=1e-12)
    assert scores["unscaled"].value == pytest.approx(scores["mean"].value * (grid**2 - 1))
    assert scores["sampling_error"].value == 0


def test_the_value_is_the_margin_of_the_image_perturbed_on_the_cells_of_the_set() -> None:
    network, clean, adversarial = situation(channels=3)
    game = perturbation_game(network, clean, adversarial, 2)
    sets = torch.tensor([[[False] * 4, [True] * 4, [False, True, False, False]]])
    mixed = clean.images.clone()
    mixed[:, :, :2, 2:] = adversarial[:, :, :2, 2:]  # cell 1: upper right
    for k, images in enumerate((clean.images, adversarial, mixed)):
        assert torch.allclose(game(sets)[:, k], margin(network(images), clean.labels))


def test_games_are_evaluated_in_full_batches_whatever_the_number_of_sets() -> None:
    network, clean, adversarial = situation()
    counting = Counting(network)
    perturbation_game(counting, clean, adversarial, 4)(torch.ones(1, 1000, 16, dtype=torch.bool))
    assert counting.inputs == 3000
    assert counting.largest <= FASTEST["cpu"]
    assert counting.calls <= 3000 / FASTEST["cpu"] + 1


METRICS = [
    Interaction(grid=4), Interaction(grid=4, cells=5), PairwiseInteraction(grid=2),
    PairwiseInteraction(grid=4, pairs=4, contexts=3), NeighbourInteraction(grid=4, contexts=3),
]  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_rows_do_not_depend_on_the_batch(metric) -> None:
    network, clean, adversarial = situation(count=4)
    together = metric.observe(clean, adversarial, network, streams(clean))
    for chosen in ([2], [3, 0]):
        few = part(clean, chosen)
        alone = metric.observe(few, adversarial[chosen], network, streams(few))
        for name, rows in together.items():
            assert torch.allclose(alone[name], rows[chosen], atol=1e-6)
            assert not torch.allclose(rows[:1], rows[1:2]) or name == "standard_error"


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_it_takes_the_stated_passes(metric) -> None:
    network, clean, adversarial = situation()
    counting = Counting(network)
    metric.observe(clean, adversarial, counting, streams(clean))
    assert counting.inputs == 3 * metric.forwards


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_without_a_perturbation_there_is_no_interaction(metric) -> None:
    network, clean, _ = situation()
    rows = metric.observe(clean, clean.images, network, streams(clean))
    assert all(row.abs().max() < 1e-9 for row in rows.values())
    assert [score.name for score in metric.summarise({k: v.numpy() for k, v in rows.items()})] == list(metric.scores)
    assert set(metric.rows) <= set(rows)


def test_sampled_cells_are_unbiased_and_their_error_is_correct() -> None:
    network, clean, adversarial = situation(count=1)
    repetitions, cells = 800, 6
    exact = Interaction(grid=4).observe(clean, adversarial, network, streams(clean))["per_cell"].mean().item()
    many = Examples(
        clean.images.expand(repetitions, -1, -1, -1), clean.labels.expand(repetitions),
        tuple(map(str, range(repetitions))),
    )  # fmt: skip
    metric = Interaction(grid=4, cells=cells)
    rows = metric.observe(many, adversarial.expand(repetitions, -1, -1, -1), network, streams(many))["per_cell"]
    assert rows.shape == (repetitions, cells)
    means = rows.mean(1)
    scores = {score.name: score.value for score in metric.summarise({"per_cell": rows.numpy()})}
    assert abs(means.mean().item() - exact) < 4 * means.std().item() / math.sqrt(repetitions)
    assert scores["sampling_error"] == pytest.approx(means.std().item() / math.sqrt(repetitions), rel=0.1)
    all_cells = Interaction(grid=4, cells=16).observe(clean, adversarial, network, streams(clean))["per_cell"]
    assert all_cells.mean().item() == pytest.approx(exact)


@pytest.mark.parametrize("grid", [2, 3, 14])
def test_neighbours_lists_every_touching_pair_once(grid: int) -> None:
    pairs = {tuple(sorted(pair)) for pair in neighbours(grid).tolist()}
    position = [(cell // grid, cell % grid) for cell in range(grid**2)]
    expected = {
        (a, b)
        for a in range(grid**2)
        for b in range(a + 1, grid**2)
        if max(abs(np.subtract(position[a], position[b]))) == 1
    }
    assert pairs == expected
    assert len(neighbours(grid)) == 4 * grid**2 - 6 * grid + 2


@pytest.mark.parametrize(
    ("metric", "key"),
    [
        (Interaction(grid=3), "grid"),
        (Interaction(grid=4, cells=1), "cells"),
        (Interaction(grid=4, cells=17), "cells"),
        (PairwiseInteraction(grid=14), "pairs"),
        (NeighbourInteraction(grid=5), "grid"),
    ],
)
def test_impossible_options_are_rejected(metric, key: str) -> None:
    assert metric.check((1, 28, 28)).startswith(f"{key}: found ")
