"""A network of unexpected accuracy stops the run before any attack, with the likely cause."""

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_core.planning.accuracy import accuracy_faults, cause_of_chance, is_near, likely_cause
from bench_core.planning.selection import select
from bench_core.run_suite import resolve_suite, run
from bench_core.suite.load import load_suite

TRUTH = np.random.default_rng(0).integers(0, 100, 2000)
WRONG = (TRUTH + 50) % 100


def predictions(accuracy: float, shift: int = 0) -> np.ndarray:
    right = np.arange(len(TRUTH)) < accuracy * len(TRUTH)
    return np.where(right, TRUTH, WRONG) + shift


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        (predictions(0.75, 1), "label_offset = 1"),
        (predictions(0.75, -1), "begin with 1"),
        (predictions(0.012), "no better than guessing"),
        (predictions(0.5), "wrong normalisation"),
    ],
)
def test_the_cause_is_read_from_the_predictions(predicted: np.ndarray, message: str) -> None:
    assert message in likely_cause(predicted, TRUTH, 0.75)


def test_more_images_narrow_the_accepted_accuracies() -> None:
    """68% of 100 images may be an accuracy of 75%; 68% of 10,000 are not."""
    assert is_near(np.arange(100) < 68, 0.75)
    assert not is_near(np.arange(10_000) < 6800, 0.75)
    assert is_near(np.arange(10_000) < 7400, 0.75)


def test_false_alarms_are_rare() -> None:
    draw = np.random.default_rng(1).random((1000, 300))
    assert sum(not is_near(row < 0.75, 0.75) for row in draw) <= 3


def test_a_run_stops_where_an_accuracy_is_missed(registry, toys, write_suite, tmp_path) -> None:
    """The toy images have random labels, so a toy network is right on a third of them."""
    suite = write_suite(
        ('"A" = { recipe = "toy", seed = 1 }', '"A" = { recipe = "toy", seed = 1, expected_accuracy = 1 }')
    )
    with pytest.raises(UsageError, match=r"models\.A\.expected_accuracy: expected 100\.0%, found [\d.]+% of 20 clean"):
        run(suite, out=tmp_path, registry=registry, executor="inline")
    assert toys.built == 2, "both have classified the images; no attack has begun"
    assert accuracy_faults(load_suite(suite), {"A": [0, 1], "B": [1, 0]}, [0, 1]) == []


def test_an_accuracy_expected_of_an_unmeasured_part_is_an_error(registry, write_suite) -> None:
    """The base of a smoothed network is only measured if it is a source or a target as well."""
    parts = '"C" = { recipe = "toy", seed = 3, expected_accuracy = 1 }\n[budgets.linf]'
    ensemble = '"B" = { recipe = "ensemble", members = ["A", "C"], combine = "logits" }'
    changes = (('"B" = { recipe = "toy", seed = 2 }', ensemble), ("[budgets.linf]", parts))
    message = r'models\.C\.expected_accuracy: "C" is only a part of "B" and is not measured \(try "C" in targets'
    with pytest.raises(UsageError, match=message):
        resolve_suite(load_suite(write_suite(*changes)), registry)
    measured = write_suite(*changes, ('targets = ["A", "B"]', 'targets = ["A", "B", "C"]'))
    assert "C" in resolve_suite(load_suite(measured), registry).models


def test_an_expected_accuracy_does_not_change_addresses(registry, toys, write_suite, tmp_path) -> None:
    run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    built = toys.built
    suite = write_suite(('"toy", seed = 1 }', '"toy", seed = 1, expected_accuracy = "1/3" }'))
    assert run(suite, out=tmp_path, registry=registry, executor="inline").complete
    assert toys.built == built


@pytest.mark.parametrize(
    ("predicted", "cause"),
    [
        (predictions(0.75, 1), "label_offset = 1"),
        (predictions(0.75, -1), "begin with 1"),
        (predictions(0.012), "another order of the classes"),
        (predictions(0.0), "another order of the classes"),
        (predictions(0.05), None),
        (predictions(0.75), None),
    ],
)
def test_an_accuracy_near_chance_has_a_cause_without_an_expected_one(predicted: np.ndarray, cause: str | None) -> None:
    found = cause_of_chance(predicted, TRUTH)
    assert found is None if cause is None else cause in found


def test_few_images_or_few_classes_are_no_evidence() -> None:
    draw = np.random.default_rng(2)
    assert cause_of_chance((np.arange(20) + (np.arange(20) > 6)) % 3, np.arange(20) % 3) is None, "7 of 20 in 3 classes"
    assert cause_of_chance(np.arange(5), np.arange(5) + 500) is None
    assert cause_of_chance(np.zeros(40, int), np.zeros(40, int)) is None, "all are right, of one class"
    assert cause_of_chance(draw.integers(0, 1000, 50), draw.integers(0, 1000, 50)) is not None
    assert cause_of_chance(draw.integers(0, 2, 1000), draw.integers(0, 2, 1000)) is not None
    assert cause_of_chance(np.zeros(1000, int), (draw.random(1000) < 0.3).astype(int)) is None


def test_images_of_few_of_the_classes_are_not_compared_with_a_published_accuracy(write_suite) -> None:
    expected = '"A" = { recipe = "toy", seed = 1, expected_accuracy = 0.7 }'
    suite = load_suite(write_suite(('"A" = { recipe = "toy", seed = 1 }', expected)))
    few = np.repeat(np.arange(10), 50)
    assert accuracy_faults(suite, {"A": few}, few, classes=1000) == []
    assert accuracy_faults(suite, {"A": few}, few, classes=10)


def test_no_image_in_common_shows_each_accuracy_and_the_cause(registry, write_suite, tmp_path) -> None:
    resolved = resolve_suite(load_suite(write_suite(('rule = "all"', 'rule = "correct_by_all"'))), registry)
    assert resolved.images is not None
    labels = list(resolved.images.labels)
    wrong = [label + 40 for label in labels]
    message = r"by every model: of 20 images, A 0\.0% \(other weights, .*\), B 100\.0%$"
    with pytest.raises(UsageError, match=rf"images\.rule: no image is classified correctly {message}"):
        select(resolved, {"A": wrong, "B": labels})
