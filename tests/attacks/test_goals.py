"""Attacks that stop each image at a goal, and the way back: against explicit loops and a linear network."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import join
from bench_attacks.plugin import RECIPES
from bench_core.scores.warnings import flags
from bench_core.types import Attack, Examples
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter
from bench_models.ensemble import Ensemble

from .scene import budget, build, examples, network, run, streams

BOTH_NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])
AIMED = pytest.mark.parametrize("targeted", [False, True])


def finished(attack: Attack, model: nn.Module, given: Examples) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Run an attack to its end and return the images of every step, and its report."""
    steps, images = attack(model, given, streams(given)), []
    while True:
        try:
            images.append(next(steps))
        except StopIteration as end:
            return images, end.value


def utility(model: nn.Module, given: Examples, images: Tensor) -> Tensor:
    rows, before, after = torch.arange(len(images)), model(given.images), model(images)
    if given.targets is None:
        return before[rows, given.labels] - after[rows, given.labels]
    gap = [logits[rows, given.targets] - logits[rows, given.labels] for logits in (after, before)]
    return gap[0] - gap[1]


def fooled(model: nn.Module, given: Examples, images: Tensor) -> Tensor:
    guesses = model(images).argmax(1)
    return guesses != given.labels if given.targets is None else guesses == given.targets


@BOTH_NORMS
@AIMED
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_every_image_lands_on_the_utility(norm: str, targeted: bool, loss: str) -> None:
    given, model = examples(8, targeted=targeted), network()
    limits = budget(norm, eps=0.5 if norm == "linf" else 4.0, steps=60, targeted=targeted, loss=loss)
    images, report = finished(build("until_utility", limits, utility=1.3, tolerance=0.02), model, given)
    utilities = utility(model, given, images[-1])
    assert ((utilities - 1.3).abs() <= 0.02).all()
    assert report["reached"].all()
    torch.testing.assert_close(report["utility"], utilities)
    check_images(given.images, images[-1], limits)


class Linear(nn.Module):
    """Two classes whose logits are plus and minus the sum of the pixels."""

    def forward(self, images: Tensor) -> Tensor:
        total = images.flatten(1).sum(1, keepdim=True)
        return torch.cat([total, -total], 1)


def level(count: int = 1) -> Examples:
    """Return grey images of 16 pixels, of the first class; their utility is 16 times the decrease of a pixel."""
    ids = tuple(map(str, range(count)))
    return Examples(torch.full((count, 1, 4, 4), 0.9).double(), torch.zeros(count, dtype=torch.long), ids)


def test_the_step_is_halved_from_where_it_was_each_time_it_overshoots() -> None:
    limits = budget(eps=0.5, step_size=0.04, steps=8)
    goal = build("until_utility", limits, (1, 4, 4), utility=2.25 * 16 * 0.04, tolerance=0.05 * 16 * 0.04)
    images, report = finished(goal, Linear(), level())
    steps = [(0.9 - image[0, 0, 0, 0].item()) / 0.04 for image in images]
    assert steps == pytest.approx([1, 2, 3, 2.5, 2.25, 2.25, 2.25, 2.25])
    assert torch.equal(images[-1], images[4])
    assert report["reached"].all()


def test_an_image_that_cannot_reach_the_goal_is_kept_and_reported() -> None:
    given, model = examples(6), network()
    limits = budget(steps=8)
    images, report = finished(build("until_utility", limits, utility=1.0, tolerance=0.05), model, given)
    utilities = utility(model, given, images[-1])
    reached = (utilities - 1.0).abs() <= 0.05
    assert 0 < reached.sum() < 6, "some images must reach the goal, and others not"
    assert torch.equal(report["reached"], reached)
    plain = run(build("pgd", limits), model, given)[-1]
    torch.testing.assert_close(images[-1][~reached], plain[~reached])


@BOTH_NORMS
@AIMED
def test_until_success_is_pgd_up_to_the_first_success(norm: str, targeted: bool) -> None:
    given, model = examples(8, targeted=targeted), network()
    limits = budget(norm, eps=0.5 if norm == "linf" else 4.0, steps=25, targeted=targeted)
    images, report = finished(build("until_success", limits), model, given)
    plain = run(build("pgd", limits), model, given)
    success = torch.stack([fooled(model, given, batch) for batch in plain])
    stops = success.float().argmax(0).where(success.any(0), 24).tolist()
    assert len(set(stops)) > 1, "all images stop at the same step"
    assert success.any(), "no image stops"
    for i, first in enumerate(stops):
        for step in range(25):
            assert torch.equal(images[step][i], images[min(step, first)][i])
            torch.testing.assert_close(images[step][i], plain[min(step, first)][i])
    assert torch.equal(report["reached"], success.any(0))


def test_a_finished_run_makes_no_more_passes() -> None:
    given, model = examples(8), network()
    attack, passes = build("until_success", budget(eps=0.5, steps=25)), PassCounter(model)
    with passes.counting():
        images, _ = finished(attack, model, given)
    last = max(step for step in range(1, 25) if not torch.equal(images[step], images[step - 1]))
    # `last + 1` steps moved images, and one more found that all have reached the goal.
    forwards, backwards = attack.cost.total(last + 2)
    assert (passes.forwards / 8, passes.backwards / 8) == (forwards, backwards)
    assert forwards < attack.cost.total(25)[0]


@pytest.mark.parametrize("parts", [["until_success", "di"], ["until_success", "vr"], ["until_success", "sgm", "mi"]])
def test_success_is_judged_on_the_network_whatever_the_surrogate_is(parts: list[str]) -> None:
    given, model = examples(8), network()
    attack = join([RECIPES[part] for part in parts]).build(budget(eps=0.3, steps=12))
    images, report = finished(attack, model, given)
    moved = [(images[0] != given.images).flatten(1).any(1)]
    assert moved[0].all()
    for before, after in pairwise(images):
        moved.append((after != before).flatten(1).any(1))
        assert not (moved[-1] & fooled(model, given, before)).any()
    assert torch.stack(moved).sum(0).unique().numel() > 1
    assert torch.equal(report["reached"], fooled(model, given, images[-1]))
    passes = PassCounter(model)
    with passes.counting():
        list(attack(model, given, streams(given)))
    assert passes.forwards / 8 <= attack.cost.total(12)[0]


@pytest.mark.parametrize("combine", ["logits", "probabilities", "losses"])
def test_an_ensemble_reaches_the_goal_as_one_network(combine: str) -> None:
    given, model = examples(8), Ensemble([network(seed=seed) for seed in range(3)], combine)
    images, report = finished(build("until_success", budget(eps=0.5, steps=25)), model, given)
    assert torch.equal(report["reached"], fooled(model, given, images[-1]))
    images, report = finished(build("until_utility", budget(eps=0.5, steps=40), utility=0.6), model, given)
    torch.testing.assert_close(report["utility"], utility(model, given, images[-1]))
    assert report["reached"].float().mean() > 0.5


def test_the_relaxed_attack_reports_which_images_reached_the_full_length() -> None:
    given = examples(6)
    images, report = finished(build("relaxed", budget("l2", eps=0.85, steps=3), c=0.0), network(), given)
    length = (images[-1] - given.images).flatten(1).norm(dim=1)
    assert 0 < report["reached"].sum() < 6
    assert torch.equal(report["reached"], length >= 0.85 - 1e-9)


@BOTH_NORMS
@AIMED
def test_the_way_back_is_a_targeted_pgd_within_half_of_the_ball(norm: str, targeted: bool) -> None:
    given, model = examples(6, targeted=targeted), network()
    limits = budget(norm, steps=10, targeted=targeted)
    images, report = finished(build("recover", limits), model, given)
    assert torch.equal(report["reached"], model(images[-1]).argmax(1) == given.labels)
    half = replace(limits, eps=limits.eps / 2, steps=5)
    out = run(build("pgd", half), model, given)
    home = Examples(out[-1], given.labels, given.ids, given.labels)
    back = run(build("pgd", replace(half, targeted=True)), model, home)
    for actual, expected in zip(images, [*out, *back], strict=True):
        assert torch.equal(actual, expected)
    labels = given.labels[:, None]
    before, after = (model(batch).log_softmax(1).gather(1, labels) for batch in (images[4], images[9]))
    assert (after > before).all()
    assert len(run(build("recover", replace(limits, steps=1)), model, given)) == 1


def test_the_host_shows_and_flags_what_was_not_reached(registry, write_suite, tmp_path) -> None:
    from bench_core.run import run as run_suite

    unreachable = ('"PGD" = { recipe = "pgd" }', '"Far" = { recipe = "until_utility", utility = 1e6 }')
    result = run_suite(write_suite(unreachable), out=tmp_path, registry=registry, executor="inline")
    shown = {score.metric: score.score for score in result.scores}
    assert shown["attack.reached"].value == 0
    assert shown["attack.reached"].n == len(result.selected)
    assert shown["attack.reached"].high > 0, "a share has Wilson's interval"
    assert 0 < shown["attack.utility"].value < 1e6
    warnings = flags([score for score in result.scores if score.labels.get("attack") == "Far"], result.warned)
    assert any(line.startswith("W: did not reach its own goal: Far on A, linf (100.0% of images)") for line in warnings)


def test_a_batch_that_is_split_is_judged_image_by_image() -> None:
    given, model = examples(300), network()
    attack = build("until_utility", budget(eps=0.5, steps=12), utility=0.5)
    images, report = finished(attack, model, given)
    torch.testing.assert_close(report["utility"], utility(model, given, images[-1]))
    last = given.take(slice(290, 300))
    torch.testing.assert_close(finished(attack, model, last)[0][-1], images[-1][290:])
