"""Values of an image that depend on earlier images only: the step at which it is judged was best on these."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bench_core.scores.earlier import FIRST, EarlierOnly, at_step_chosen_before
from bench_core.scores.images import ImageSet, Unpairable
from bench_core.scores.labels import Labels
from bench_core.scores.scored import LabelledScore, Scores
from bench_core.scores.sequences import log_e
from bench_core.types import Score


def by_definition(values: NDArray[np.float64]) -> list[float]:
    judged = []
    for image, row in enumerate(values):
        means = values[:image].sum(axis=0)
        judged.append(row[-1] if image < FIRST else row[list(means).index(max(means))])
    return judged


@pytest.mark.parametrize("seed", range(5))
def test_an_image_is_judged_at_the_step_that_was_best_before_it(seed: int) -> None:
    values = (np.random.default_rng(seed).random((40, 6)) < 0.5).astype(float)
    assert list(at_step_chosen_before(values)) == by_definition(values)


def test_no_image_depends_on_itself_or_on_later_images() -> None:
    values = (np.random.default_rng(0).random((40, 6)) < 0.5).astype(float)
    for image in (FIRST, 25, 39):
        others = values.copy()
        others[image:] = 1 - others[image:]
        before, after = at_step_chosen_before(values), at_step_chosen_before(others)
        assert np.array_equal(before[:image], after[:image])
        assert after[image] == 1 - before[image], "the same step of the changed image"


def scores_of(values: NDArray[np.float64], images: list[int]) -> Scores:
    """Return `transfer.success`, wrongly the best step of each image, and `transfer.at_step`."""
    labels, of = Labels(source="A", attack="PGD", target="B"), ImageSet.of("selected", images)

    def made(name: str, column: NDArray[np.float64], **extra: int) -> LabelledScore:
        score = Score(name, float(column.mean()), 0, 1, len(column), extra, column)
        return LabelledScore(f"transfer.{name}", labels.adding(extra), score, images=of)

    steps = [made("at_step", column, step=step) for step, column in enumerate(values.T, 1)]
    return Scores([made("success", values.max(axis=1)), *reversed(steps)])


def test_only_scores_that_choose_steps_are_judged_anew() -> None:
    values = (np.random.default_rng(0).random((30, 12)) < 0.5).astype(float)
    scores = scores_of(values, list(range(30)))
    earlier = EarlierOnly(scores, {"transfer.success": "transfer.at_step"})
    assert list(earlier.values(scores[0]).values) == by_definition(values)
    assert np.array_equal(earlier.values(scores[1]).values, values[:, -1])
    assert np.array_equal(EarlierOnly(scores, {}).values(scores[0]).values, values.max(axis=1))


def test_images_come_in_the_order_of_the_run() -> None:
    values = (np.random.default_rng(0).random((30, 4)) < 0.5).astype(float)
    order = np.random.default_rng(1).permutation(30)
    scores = scores_of(values[order], [int(index) for index in order])
    earlier = EarlierOnly(scores, {"transfer.success": "transfer.at_step"})
    assert list(earlier.values(scores[0]).values) == by_definition(values)


def test_a_score_without_its_steps_cannot_be_judged() -> None:
    scores = scores_of(np.ones((5, 2)), list(range(5)))
    with pytest.raises(Unpairable, match=r"there is no transfer\.nothing"):
        EarlierOnly(scores, {"transfer.success": "transfer.nothing"}).values(scores[0])


def test_equal_attacks_at_chosen_steps_are_decided_in_at_most_five_percent_of_runs() -> None:
    generator = np.random.default_rng(0)
    runs, images, steps, targets = 1000, 200, 8, 3
    curve = 0.5 * (1 - np.exp(-np.arange(1, steps + 1) / 2))  # success rises with the steps
    differences = np.zeros((runs, images))
    for sign in (1, -1):
        strength = generator.random((runs, images, targets, 1))  # an image that is fooled stays fooled, mostly
        noise = generator.random((runs, images, targets, steps)) * 0.2
        fooled = (strength + noise - 0.1 < curve).astype(float)
        for run in range(runs):
            judged = [at_step_chosen_before(fooled[run, :, target]) for target in range(targets)]
            differences[run] += sign * np.mean(judged, axis=0)
    ever = (log_e(differences) >= math.log(20)).any(axis=1)
    assert 0 < ever.mean() <= 0.05
