"""Attacks and metrics that need more than two classes, or that forget what a second class means."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench_core.registry import Registry
from bench_core.testing import RULES, judge, network, offers, subjects
from bench_core.types import Budget, Examples, MetricRecipe, Model

from .ascent import Ascent, recipe, usual
from .offering import verdicts
from .test_wrong_metrics_and_models import metric

RULE = {"two_classes"}


def ratio_of_logits(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """The difference-of-logits ratio, which divides by the distance of the first logit and the third."""
    images = images.detach().requires_grad_(True)
    ranked = model(images).sort(1).values
    loss = (ranked[:, -2] - ranked[:, -1]) / (ranked[:, -1] - ranked[:, -3])
    return torch.autograd.grad(loss.sum(), images)[0]


def next_of_ten(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """A descent to the next of ten classes."""
    aim = Examples(examples.images, examples.labels, examples.ids, (examples.labels + 1) % 10)
    return usual(attack, model, images, aim)


def third_class(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """A descent to the third of all classes by rank, or to the last, which is the label where it is not the largest."""
    with torch.no_grad():
        third = model(examples.images).argsort(1, descending=True)[:, :3][:, -1]
    aim = third if model(examples.images).shape[1] > 2 else 1 - third
    return usual(attack, model, images, Examples(examples.images, examples.labels, examples.ids, aim))


@pytest.mark.parametrize(
    ("gradient", "message"),
    [(ratio_of_logits, "IndexError"), (next_of_ten, "IndexError"), (third_class, "of the wrong class fell")],
)
def test_an_attack_for_more_classes_is_caught(gradient: Any, message: str) -> None:
    for found in verdicts("attacks", recipe(gradient=gradient), RULE):
        assert found.status == "broken"
        assert message in found.message
        assert "two classes" in found.given


def third_logit(adversarial: Tensor, clean: Examples, target: Model) -> dict[str, Tensor]:
    return {"value": target(adversarial).topk(3, 1).values[:, 2]}


def test_a_metric_for_more_classes_is_caught() -> None:
    wrong: MetricRecipe = metric(observed=third_logit)
    (found,) = verdicts("metrics", wrong, RULE)
    assert found.status == "broken"
    assert "networks of two classes" in found.given
    (right,) = verdicts("metrics", metric(), RULE)
    assert right.status == "holds"


def test_an_attack_that_cannot_be_targeted_is_asked_without_targets() -> None:
    class Untargeted(Ascent):
        def check(self, _shape: tuple[int, int, int]) -> str | None:
            return "cannot be targeted" if self.budget.targeted else None

    def build(budget: Budget) -> Ascent:
        return Untargeted(budget)

    found = verdicts("attacks", type(recipe())(build, "Cannot be targeted."), RULE)
    assert [verdict.status for verdict in found] == ["holds", "holds"]


def test_jsma_rejects_a_network_whose_classes_it_would_not_find(installed: Registry) -> None:
    pytest.importorskip("torchattacks")
    for subject in subjects(installed, offers(installed, "torchattacks:JSMA")):
        verdict = judge(subject, RULES["attacks"]["two_classes"])
        assert verdict.status == "unasked"
        assert "JSMA needs at least 10 classes, the network has 2 (try targeted = true)" in verdict.message
    (offer,) = offers(installed, "torchattacks:JSMA")
    targeted = offer.build(Budget("l2", 1.0, 0.3, 3, targeted=True))
    assert targeted.check_classes(2) is None
    assert network(classes=2)(torch.rand(1, 1, 12, 12)).shape == (1, 2)
