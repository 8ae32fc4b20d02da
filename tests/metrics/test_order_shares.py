"""The share that an order has in the change of all orders, where some images or all do not change."""

import pytest

from bench_metrics.order_interaction import OrderInteraction

from .test_interaction_metrics import part, situation
from .test_order_metrics import observed, scores_of


def test_a_share_of_no_change_is_undefined(recwarn: pytest.WarningsRecorder) -> None:
    network, clean, _ = situation(count=3)
    metric = OrderInteraction(grid=2, orders=(0, 1), pairs=2)
    rows = observed(metric, network, clean, clean.images)
    shares = [score for score in scores_of(metric, rows) if score.name == "share"]
    assert [(str(score.value), score.n) for score in shares] == [("nan", 0)] * 2
    assert not recwarn


def test_images_without_a_change_leave_the_share_of_the_others() -> None:
    network, clean, adversarial = situation(count=4)
    metric = OrderInteraction(grid=2, orders=(0, 1), pairs=2)
    moved = clean.images.clone()
    moved[0] = adversarial[0]
    share, alone = (
        next(score for score in scores_of(metric, rows) if score.name == "share")
        for rows in (
            observed(metric, network, clean, moved), observed(metric, network, part(clean, [0]), adversarial[:1])
        )
    )  # fmt: skip
    assert share.value == pytest.approx(alone.value)
    assert (share.low, share.high) == pytest.approx((alone.value, alone.value)), "draws without that image do not count"
