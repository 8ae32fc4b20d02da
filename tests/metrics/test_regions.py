"""Regions of point clouds as players: the game against a loop over points, the metric against enumeration."""

import pytest
import torch
from torch import Tensor, nn

from bench_core.clouds import regions
from bench_core.logits import pick
from bench_core.types import Examples
from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.image_games import log_prob
from bench_metrics.coalitions.region_games import RegionGame
from bench_metrics.coalitions.shapley import pairwise_by_order
from bench_metrics.region_interaction import RegionInteraction

POINTS, REGIONS, CLASSES = 24, 6, 3


class Field(nn.Module):
    """Logits that are products of sums over the points of smooth functions of their coordinates."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(CLASSES, 3, 2, generator=torch.Generator().manual_seed(4)).double()

    def forward(self, clouds: Tensor) -> Tensor:
        sums = torch.einsum("kcm,ncp->nkmp", self.weight, clouds.squeeze(-1).double()).sin().mean(-1)
        return 9 * sums.prod(-1)


def clouds(count: int = 3) -> Tensor:
    return torch.rand(count, 3, POINTS, 1, generator=torch.Generator().manual_seed(0))


def clouds_and_adversarial(count: int = 3) -> tuple[Examples, Tensor]:
    clean = Examples(clouds(count), torch.arange(count) % CLASSES, tuple(map(str, range(count))))
    noise = torch.rand(clean.images.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    return clean, (clean.images + 0.2 * noise).clamp(0, 1)


def game_of(images: Tensor, clean: Examples) -> RegionGame:
    return RegionGame(Field(), images, regions(clean.images, REGIONS), REGIONS, log_prob, clean.labels)


def test_points_of_absent_regions_move_to_the_centre_and_others_stay() -> None:
    clean, _ = clouds_and_adversarial()
    region, model = regions(clean.images, REGIONS), Field()
    coalitions = torch.rand(3, 7, REGIONS, generator=torch.Generator().manual_seed(2)) < 0.5
    values = RegionGame(model, clean.images, region, REGIONS, pick, clean.labels)(coalitions)
    for n in range(3):
        for k in range(7):
            cloud = clean.images[n].clone()
            for p in range(POINTS):
                if not coalitions[n, k, region[n, p]]:
                    cloud[:, p] = 0.5
            assert values[n, k].item() == pytest.approx(model(cloud[None])[0, clean.labels[n]].item(), abs=1e-9)


def test_games_of_some_clouds_are_some_of_the_games() -> None:
    clean, _ = clouds_and_adversarial()
    coalitions = torch.rand(1, 5, REGIONS) < 0.5
    game = game_of(clean.images, clean)
    assert torch.allclose(game.take(torch.tensor([2, 0]))(coalitions), game(coalitions)[[2, 0]])


def test_the_metric_equals_enumeration_within_its_error() -> None:
    clean, adversarial = clouds_and_adversarial()
    orders = (0, 1, 2, 3, 4)
    metric = RegionInteraction(REGIONS, orders, pairs=1500)
    rows = metric.observe(clean, adversarial, Field(), ImageStreams(0, clean.ids))
    off_diagonal = ~torch.eye(REGIONS, dtype=torch.bool)
    exact = torch.stack(
        [pairwise_by_order(game_of(x, clean))[..., off_diagonal].mean(-1) for x in (clean.images, adversarial)], -1
    )
    assert ((rows["interaction"] - exact).abs() <= 4.5 * rows["error"] + 1e-9).all()
    assert rows["interaction"].abs().mean() > 5 * rows["error"].mean()  # large enough for a wrong game to fail
    assert torch.allclose(rows["change"], rows["interaction"][..., 0] - rows["interaction"][..., 1])
    scores = {(s.name, s.labels.get("order"), s.labels.get("images")): s.value for s in metric.summarise(
        {name: row.numpy() for name, row in rows.items()})}  # fmt: skip
    assert scores["interaction", "3", "adversarial"] == pytest.approx(rows["interaction"][:, 3, 1].mean().item())
    assert scores["delta_j", "3", None] == pytest.approx(rows["change"][:, 3].mean().item() * 2 / 30)
    assert scores["forwards", None, None] == metric.forwards


def test_rows_do_not_depend_on_the_batch() -> None:
    clean, adversarial = clouds_and_adversarial()
    metric = RegionInteraction(REGIONS, (1, 3), pairs=10)
    together = metric.observe(clean, adversarial, Field(), ImageStreams(0, clean.ids))
    alone = metric.observe(clean.take(slice(1, 2)), adversarial[1:2], Field(), ImageStreams(0, clean.ids[1:2]))
    assert all(torch.allclose(alone[name], together[name][1:2]) for name in together)


def test_images_and_clouds_with_too_few_points_are_rejected() -> None:
    assert RegionInteraction(REGIONS, (1,)).check((3, POINTS, 1)) is None
    assert "recipe: found images (1, 28, 28), expected point clouds" in str(RegionInteraction().check((1, 28, 28)))
    assert "regions: found 25, more than the 24 points" in str(RegionInteraction(25).check((3, POINTS, 1)))
    assert "orders: " in str(RegionInteraction(REGIONS, (5,)).check((3, POINTS, 1)))
