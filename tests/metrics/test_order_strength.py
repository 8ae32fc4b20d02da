"""How the change of an order grows with the number of iterations of an attack."""

import numpy as np
import pytest
import torch

from bench_core.types import Step
from bench_metrics.order_interaction import OrderInteraction
from bench_metrics.order_strength import OrderStrength

from .test_interaction_metrics import situation, streams
from .test_order_metrics import GREY, scores_of


def test_the_strength_is_the_change_after_each_number_of_iterations_and_their_correlation() -> None:
    network, clean, adversarial = situation(count=6)
    metric = OrderStrength(grid=4, orders=(7, 0.9), iterations=(1, 3, 4), pairs=30)
    path = [clean.images + share * (adversarial - clean.images) for share in (0.3, 0.5, 0.8, 1.0)]
    rows = [metric.observe(clean, Step(k, images), network, streams(clean), GREY) for k, images in enumerate(path, 1)]
    assert rows[1]["change"].isnan().all()
    alone = OrderInteraction(grid=4, orders=(7, 0.9), pairs=30)
    expected = [alone.observe(clean, images, network, streams(clean), GREY)["change"] for images in path]
    stacked = torch.stack([row["change"] for row in rows], dim=1)
    scores = {
        (s.name, s.labels["order"], s.labels.get("iterations")): s for s in scores_of(metric, {"change": stacked})
    }
    assert set(scores) == {("pearson", o, None) for o in ("7", "0.9")} | {
        ("change", o, k) for o in ("7", "0.9") for k in (1, 3, 4)
    }
    for index, order in enumerate(("7", "0.9")):
        means = [expected[k - 1][:, index].mean().item() for k in (1, 3, 4)]
        assert [scores["change", order, k].value for k in (1, 3, 4)] == pytest.approx(means)
        r = scores["pearson", order, None]
        assert r.value == pytest.approx(np.corrcoef((1, 3, 4), means)[0, 1])
        assert -1 <= r.low <= r.high <= 1
    assert metric.steps == (1, 3, 4)
    assert metric.forwards == alone.forwards
    assert metric.check((1, 28, 28)) is None
    assert "iterations" in OrderStrength(grid=14, iterations=(4, 4)).check((1, 28, 28))


def test_iterations_beyond_the_budget_have_no_score() -> None:
    metric = OrderStrength(grid=4, orders=(7,), iterations=(1, 3, 4), pairs=30)
    change = np.random.default_rng(0).normal(size=(5, 4, 1))
    named = {
        steps: [(score.name, score.labels.get("iterations")) for score in metric.summarise({"change": rows})]
        for steps, rows in ((steps, change[:, :steps]) for steps in (2, 3, 4))
    }
    assert named[2] == [("change", 1)]
    assert [name for name, _ in named[3]] == ["change", "change", "pearson"]
    assert len(named[4]) == 4
