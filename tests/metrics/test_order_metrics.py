"""The metrics of orders on known games: disentanglement, context maps, and what an attack changes."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from bench_core.types import Score, Step
from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.games import all_coalitions
from bench_metrics.coalitions.image_games import baseline, image_game
from bench_metrics.coalitions.pairs import pairs_among, random_pairs
from bench_metrics.coalitions.shapley import pairwise_by_order
from bench_metrics.context_maps import ContextMaps, weighted_contexts
from bench_metrics.disentanglement import Disentanglement, disentangled
from bench_metrics.order_interaction import OrderInteraction
from bench_metrics.order_separation import OrderSeparation
from bench_metrics.order_strength import OrderStrength
from bench_metrics.rank_interaction import RankInteraction

from .table_games import TableGame, random_games, smooth_games
from .test_interaction_metrics import Counting, part, situation, streams

PAIRS = torch.tensor([[[0, 1], [2, 5], [7, 3]]])
GREY = torch.full((1, 4, 4), 0.4).double()


class Noise:
    """A game whose values are Gaussian noise, new in every call."""

    players = 12

    def __init__(self, count: int) -> None:
        self.count, self.generator = count, torch.Generator().manual_seed(0)

    def __call__(self, coalitions: Tensor) -> Tensor:
        return torch.randn(self.count, coalitions.shape[1], generator=self.generator).double()


def of_ids(count: int) -> ImageStreams:
    return ImageStreams(0, tuple(map(str, range(count))))


@pytest.mark.parametrize("contexts", [5, 20, 60])
def test_noise_has_no_disentanglement_once_it_is_corrected(contexts: int) -> None:
    plug_in, corrected, _ = disentangled(Noise(400), [4, 6], PAIRS, contexts, of_ids(400))
    assert plug_in.mean().item() == pytest.approx(contexts**-0.5, rel=0.1)
    assert abs(corrected.mean().item()) < 4 * corrected.std().item() / corrected.numel() ** 0.5
    assert abs(corrected.mean().item()) < 0.2 * plug_in.mean().item()


def test_a_game_with_context_free_interactions_has_disentanglement_one() -> None:
    """The square of the number of players: Delta v(i, j, S) is 2 in every context."""
    sets = all_coalitions(8).double()
    game = TableGame((sets.sum(1) ** 2)[None])
    for found in disentangled(game, [1, 3, 5], PAIRS, 6, of_ids(1))[:2]:
        assert torch.allclose(found, torch.ones(1, 3, 3).double())


def test_disentanglement_approaches_its_definition() -> None:
    """Compare with equation 4 over all contexts."""
    game, order = smooth_games(8, 1), 3
    many = TableGame(game.values.expand(50, -1))
    for place, (i, j) in enumerate(PAIRS[0].tolist()):
        rest = [p for p in range(8) if p not in (i, j)]
        sets = [sum(2**p for p in chosen) for chosen in itertools.combinations(rest, order)]
        values, one, other = game.values[0], 2**i, 2**j
        change = torch.stack([values[s + one + other] - values[s + one] - values[s + other] + values[s] for s in sets])
        expected = (change.mean().abs() / change.abs().mean()).item()
        plug_in, corrected, _ = disentangled(many, [order], PAIRS[:, place : place + 1], 20, of_ids(50))
        assert plug_in.mean().item() == pytest.approx(expected, abs=0.05)
        assert corrected.mean().item() == pytest.approx(expected, abs=0.05)


def test_orders_with_too_few_contexts_have_no_disentanglement() -> None:
    for values in disentangled(random_games(8), [0, 1, 3, 5, 6], PAIRS, 6, of_ids(3)):
        assert values.isnan().all((0, 2)).tolist() == [True, False, False, False, True]
    for values in disentangled(random_games(8), [1, 3, 5], PAIRS, 7, of_ids(3)):
        assert values.isnan().all((0, 2)).tolist() == [True, False, True]


def test_pairs_without_effect_are_left_out() -> None:
    sets = all_coalitions(8).double()
    game = TableGame((sets[:, 0] * sets[:, 1] * (1 + sets[:, 6]))[None])
    _, corrected, _ = disentangled(game, [3], PAIRS, 10, of_ids(1))
    assert corrected.isnan().tolist() == [[[False, True, True]]]


def test_maps_show_the_players_that_an_interaction_needs() -> None:
    """Players 0 and 1 interact only with player 4 present and player 6 absent."""
    sets = all_coalitions(8).double()
    game = TableGame((sets[:, 0] * sets[:, 1] * sets[:, 4] * (1 - sets[:, 6]))[None].expand(400, -1))
    interaction, contexts, control = weighted_contexts(game, 3, torch.tensor([[[0, 1], [2, 3]]]), 30, of_ids(400))
    assert torch.allclose(contexts[:, 0, 4], torch.tensor(0.5).double())  # in all contexts, by chance in half of them
    assert torch.allclose(contexts[:, 0, 6], torch.tensor(-0.5).double())
    assert (contexts[:, 0, [0, 1]] == 0).all()
    assert contexts[:, 0, [2, 3, 5, 7]].mean().abs() < 0.03
    assert control[:, 0].mean(0).abs().max() < 0.04
    assert (interaction[:, 1] == 0).all()
    assert (contexts[:, 1] == 0).all()
    expected = pairwise_by_order(TableGame(game.values[:1]))[0, 3, 0, 1].item()
    assert interaction[:, 0].mean().item() == pytest.approx(expected, abs=0.03)


def test_maps_of_a_negative_interaction_show_the_contexts_that_produce_it() -> None:
    positive = random_games(8)
    negative = TableGame(-positive.values)
    positive_maps, negative_maps = (weighted_contexts(game, 3, PAIRS, 9, of_ids(3)) for game in (positive, negative))
    assert torch.allclose(positive_maps[0], -negative_maps[0])
    assert torch.allclose(positive_maps[1], negative_maps[1])


METRICS = [
    OrderInteraction(grid=4, orders=(0.2, 7, 1.0), pairs=40),
    OrderInteraction(
        grid=4, orders=(0.2, 7), pairs=70, contexts=2, among="neighbours", output="others", baseline="blur"
    ),
    OrderInteraction(grid=4, orders=(0.5,), forwards_each=800, of="target", baseline="zero"),
    Disentanglement(grid=4, orders=(2, 0.5), pairs=3, contexts=4, baseline="pixel_mean"),
    Disentanglement(grid=4, orders=(2, 0.5), pairs=3, contexts=4, among="neighbours"),
    ContextMaps(order=0.5, grid=4, pairs=6, contexts=5, strongest=0.5),
    ContextMaps(order=0.5, grid=4, pairs=6, contexts=5, among="neighbours"),
]


def observed(metric, network, clean, adversarial) -> dict[str, Tensor]:
    if isinstance(metric, OrderStrength):
        return metric.observe(clean, Step(metric.iterations[0], adversarial), network, streams(clean), GREY)
    if isinstance(metric, Disentanglement | ContextMaps):
        return metric.observe(clean, network, streams(clean), GREY)
    return metric.observe(clean, adversarial, network, streams(clean), GREY)


def scores_of(metric, rows: dict[str, Tensor]) -> list[Score]:
    return list(metric.summarise({name: row.numpy() for name, row in rows.items()}))


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_it_takes_the_stated_passes_and_yields_the_stated_scores(metric) -> None:
    network, clean, adversarial = situation()
    counting = Counting(network)
    rows = observed(metric, counting, clean, adversarial)
    extra = 3 if getattr(metric, "of", "true") == "target" else 0  # one pass for each adversarial image
    assert counting.inputs == 3 * metric.forwards + extra
    scores = scores_of(metric, rows)
    assert {score.name for score in scores} == set(metric.scores)
    assert {name for score in scores for name in score.labels} <= set(getattr(metric, "labels", ()))
    assert set(metric.rows) <= set(rows)
    assert all(np.isfinite(score.value) for score in scores)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_rows_do_not_depend_on_the_batch(metric) -> None:
    network, clean, adversarial = situation(count=4)
    together = observed(metric, network, clean, adversarial)
    for chosen in ([2], [3, 0]):
        alone = observed(metric, network, part(clean, chosen), adversarial[chosen])
        for name, rows in together.items():
            assert torch.allclose(alone[name].double(), rows[chosen].double(), atol=1e-9)


def test_the_parts_of_a_change_are_their_formulas() -> None:
    network, clean, adversarial = situation(count=5)
    metric = OrderInteraction(grid=2, orders=(0, 1, 2), pairs=600)
    rows = metric.observe(clean, adversarial, network, streams(clean), GREY)
    scores = {(s.name, s.labels.get("order"), s.labels.get("images")): s for s in scores_of(metric, rows)}
    exact = []
    for images in (clean.images, adversarial):
        absent = baseline("channel_mean", images, GREY)
        game = image_game(network, images, absent, 2, "log_prob", clean.labels)
        exact.append(pairwise_by_order(game).sum((2, 3)).mean(0) / 12)
    for m in range(3):
        error = scores["sampling_error", str(m), None].value
        for images, truth in zip(("clean", "adversarial"), exact, strict=True):
            assert abs(scores["interaction", str(m), images].value - truth[m].item()) < 0.05
        change = scores["change", str(m), None].value
        assert abs(change - (exact[0] - exact[1])[m].item()) < 4 * error
        assert scores["delta_j", str(m), None].value == pytest.approx((4 - 1 - m) / 12 * change)
        assert scores["utility", str(m), None].value == pytest.approx((4 - 1 - m) * change)
        total = sum(abs(scores["change", str(k), None].value) for k in range(3))
        share = scores["share", str(m), None]
        assert share.value == pytest.approx(abs(change) / total)
        assert 0 <= share.low <= share.value <= share.high <= 1
    assert scores["forwards", None, None].value == metric.forwards


def test_a_target_error_saves_passes_and_the_score_counts_them() -> None:
    network, clean, adversarial = situation()
    full, saving = (OrderInteraction(grid=4, orders=(0.5,), pairs=2000, error=error) for error in (0.0, 0.1))
    rows = [observed(metric, network, clean, adversarial) for metric in (full, saving)]
    spent = [{s.name: s.value for s in scores_of(saving, row)} for row in rows]
    assert spent[1]["forwards"] < 0.7 * spent[0]["forwards"]
    assert (rows[1]["error"] <= 0.1).all()


def test_every_option_of_the_game_changes_the_interaction() -> None:
    network, clean, adversarial = situation()
    options = [
        {}, {"among": "neighbours"}, {"output": "others"}, {"output": "logit"}, {"output": "margin"}, {"of": "target"},
        {"baseline": "zero"}, {"baseline": "blur"}, {"baseline": "pixel_mean"}, {"contexts": 2}, {"grid": 2},
    ]  # fmt: skip
    pattern = torch.arange(16).view(1, 4, 4).double() / 16
    rows = []
    for chosen in options:
        metric = OrderInteraction(**{"grid": 4, "orders": (1,), "pairs": 20, **chosen})
        rows.append(metric.observe(clean, adversarial, network, streams(clean), pattern)["interaction"])
    for first, second in itertools.combinations(rows, 2):
        assert not torch.allclose(first, second)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (OrderInteraction(grid=3), "grid: found 3"),
        (OrderInteraction(grid=4, orders=(0.5, 7)), "orders: 0.5 and 7 are both 7 of 14"),
        (OrderInteraction(grid=4, pairs=4, forwards_each=80), "forwards_each: found 80 beside pairs = 4"),
        (OrderInteraction(grid=4, forwards_each=15), "forwards_each: found 15"),
        (Disentanglement(grid=4, orders=(15,)), "orders: found 15"),
        (ContextMaps(order=1.5, grid=4), "order: found 1.5"),
        (ContextMaps(grid=5), "grid: found 5"),
    ],
)
def test_impossible_options_are_rejected(metric, message: str) -> None:
    assert metric.check((1, 28, 28) if metric.grid != 5 else (1, 4, 4)).startswith(message)


def test_disentanglement_reports_the_number_of_contexts() -> None:
    network, clean, adversarial = situation()
    metric = Disentanglement(grid=2, orders=(0, 1, 2), pairs=2, contexts=2)
    scores = {(s.name, s.labels["order"]): s for s in scores_of(metric, observed(metric, network, clean, adversarial))}
    assert [scores["different_contexts", str(m)].value for m in range(3)] == [1, 2, 1]
    assert [scores["corrected", str(m)].n for m in range(3)] == [0, 3, 0]
    assert np.isnan(scores["plug_in", "0"].value)


@pytest.mark.parametrize("name", ["plug_in", "corrected"])
def test_the_ratio_of_means_weighs_pairs_by_their_effect(name: str) -> None:
    """Equation 4 averages ratios; the authors' code divides averages. Both are computed here from the pairs' ratios."""
    network, clean, _ = situation(count=6)
    forms = {form: Disentanglement(4, (3, 9), 5, 4, form=form) for form in ("mean_of_ratios", "ratio_of_means")}
    game = image_game(network, clean.images, baseline("channel_mean", clean.images, GREY), 4, "log_prob", clean.labels)
    rng = streams(clean)
    estimates = disentangled(game, [3, 9], random_pairs(5, 16, rng, pairs_among("all", 4)), 4, rng)
    ratio, effect = dict(zip(("plug_in", "corrected"), estimates[:2], strict=True))[name], estimates[2]
    expected = {
        "mean_of_ratios": ratio.mean((0, 2)),
        "ratio_of_means": (ratio * effect).sum((0, 2)) / effect.sum((0, 2)),
    }
    assert not torch.allclose(*expected.values())
    for form, metric in forms.items():
        rows = metric.observe(clean, network, streams(clean), GREY)
        found = {s.labels["order"]: s for s in scores_of(metric, rows) if s.name == name}
        assert [found[order].value for order in ("3", "9")] == pytest.approx(expected[form].tolist())
        assert all(score.low <= score.value <= score.high for score in found.values())


def test_orders_are_rounded_as_the_metric_states() -> None:
    network, clean, adversarial = situation()
    for order, down, nearest in ((0.9, 12, 13), (0.2, 2, 3)):  # of 14: 12.6 and 2.8
        for rounding, size in (("down", down), ("nearest", nearest)):
            by_share = OrderInteraction(grid=4, orders=(order,), pairs=6, rounding=rounding)
            by_count = OrderInteraction(grid=4, orders=(size,), pairs=6)
            one, other = (observed(metric, network, clean, adversarial) for metric in (by_share, by_count))
            assert torch.equal(one["change"], other["change"])
            utility = [
                next(s.value for s in scores_of(metric, rows) if s.name == "utility")
                for metric, rows in ((by_share, one), (by_count, other))
            ]
            assert utility[0] == utility[1]


@pytest.mark.parametrize("metric", [OrderStrength, OrderSeparation, RankInteraction, ContextMaps])
def test_every_metric_of_orders_can_round_down(metric) -> None:
    network, clean, adversarial = situation()
    name, order = ("order", 0.9) if metric is ContextMaps else ("orders", (0.9,))
    size = 12 if metric is ContextMaps else (12,)
    made = [
        metric(grid=4, pairs=4, rounding="down", **{name: order}),
        metric(grid=4, pairs=4, **{name: size}),
        metric(grid=4, pairs=4, **{name: order}),
    ]
    row = "map" if metric is ContextMaps else "change" if metric is OrderStrength else "interaction"
    found = [observed(each, network, clean, adversarial)[row] for each in made]
    assert torch.equal(found[0].nan_to_num(), found[1].nan_to_num())
    assert not torch.equal(found[0].nan_to_num(), found[2].nan_to_num())


def test_pairs_among_neighbours_are_other_pairs() -> None:
    network, clean, adversarial = situation()
    for first, second in itertools.pairwise(METRICS[3:]):
        if type(first) is type(second):
            for name in first.rows:
                rows = [observed(metric, network, clean, adversarial)[name] for metric in (first, second)]
                assert not torch.allclose(*rows)
