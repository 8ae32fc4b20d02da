"""Compares the clean accuracy of networks with the accuracy that a suite expects, before any attack runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault
from ..statistics import wilson
from ..suite.model import Suite

Z = 3.29  # quantile of a 99.9% interval: one in a thousand correct networks is rejected
COMPETENT = 0.5  # accuracies below this, and not above guessing, are near chance; for two classes 0.1 above guessing
ALLOWANCE = 0.01  # the expected accuracy may have been measured with another JPEG decoder or resizing
ENOUGH = 1000  # images; an interval of a 99.9% level is then 3 to 5 points wide on each side
MIXED = 0.9  # of the classes that a random sample has
GUESSING = "other weights, another normalisation, or another order of the classes"
LOWER = "it agrees if classes are counted one lower (try label_offset = 1 for a checkpoint)"
HIGHER = "it agrees if classes are counted one higher (do the labels begin with 1?)"


NO_CAUSES: Mapping[str, str] = MappingProxyType({})


def suspicious(
    suite: Suite, predictions: Mapping[str, Sequence[int]], labels: Sequence[int], classes: int | None = None
) -> list[str]:
    """Return the labels of the networks whose preprocessing may be wrong; the arguments are those of `accuracy_faults`.

    They miss their expected accuracy or, if none is expected, are near chance; the order of the classes is right.
    """
    truth = np.asarray(labels)
    found = []
    for label, classified in predictions.items():
        predicted, expected = np.asarray(classified), suite.models[label].expected_accuracy
        if expected is None:
            wrong = cause_of_chance(predicted, truth) == GUESSING
        else:
            missed = is_compared(truth, classes) and not is_near(predicted == truth, expected)
            lower = np.mean(predicted == truth) < expected
            wrong = bool(missed and lower) and likely_cause(predicted, truth, expected) not in (LOWER, HIGHER)
        found += [label] if wrong else []
    return found


def is_compared(truth: NDArray[np.int64], classes: int | None) -> bool:
    """Return whether accuracies are compared: they are published for all classes, so at least half must occur."""
    return classes is None or len(np.unique(truth)) >= classes / 2


def accuracy_faults(
    suite: Suite,
    predictions: Mapping[str, Sequence[int]],
    labels: Sequence[int],
    classes: int | None = None,
    mistakes: Mapping[str, str] = NO_CAUSES,
) -> list[Fault]:
    """Return a fault for each network whose accuracy is not the expected one, or whose preprocessing is mistaken.

    Args:
        suite: The suite, with the models' expected accuracies.
        predictions: Predicted classes of all clean images, by the models' labels.
        labels: True classes of these images.
        classes: Number of classes of the dataset; None if unknown.
        mistakes: Mistakes that were found in the networks' preprocessing, by label.

    Returns:
        Faults that state the likely cause.
    """
    truth = np.asarray(labels)
    faults: list[Fault] = []
    for label, classified in predictions.items():
        predicted, expected = np.asarray(classified), suite.models[label].expected_accuracy
        found = f"{np.mean(predicted == truth):.1%} of {len(truth)} clean images"
        if expected is None and label in mistakes:
            message = f"no better than guessing, right for {found}: {mistakes[label]}"
            faults.append(Fault(suite.file, f"models.{label}", message))
        if expected is None or not is_compared(truth, classes) or is_near(predicted == truth, expected):
            continue
        cause = mistakes.get(label) or likely_cause(predicted, truth, expected)
        message = f"expected {expected:.1%}, found {found}: {cause}"
        faults.append(Fault(suite.file, f"models.{label}.expected_accuracy", message))
    return faults


def stand_for(labels: Sequence[int], count: int) -> bool:
    """Return whether a dataset's first images are enough to compare accuracies with those expected over all.

    They are 1,000 or more, and mix the classes as a random sample does: some datasets are sorted by class.

    Args:
        labels: The classes of all images.
        count: The number of the first images.
    """
    if count >= len(labels):
        return True
    _, sizes = np.unique(np.asarray(labels), return_counts=True)
    expected = float(np.sum(1 - (1 - sizes / len(labels)) ** count))  # classes in a random sample
    return count >= ENOUGH and len(np.unique(np.asarray(labels[:count]))) >= MIXED * expected


def cause_of_chance(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> str | None:
    """Return the likely cause if an accuracy is near chance, without an expected accuracy; None if it is not.

    Args:
        predicted: Predicted classes [n].
        truth: True classes [n].
    """
    chance = 1 / _classes(predicted, truth)
    if chance == 1:  # of a single class nothing can be guessed wrong
        return None
    low, high = wilson(int((predicted == truth).sum()), len(truth), Z)
    if low > chance or high >= max(COMPETENT, chance + 0.1):
        return None
    for shifted, cause in ((predicted - 1, LOWER), (predicted + 1, HIGHER)):
        if wilson(int((shifted == truth).sum()), len(truth), Z)[0] > max(high, chance):
            return cause
    return GUESSING


def _classes(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> int:
    return max(int(truth.max()), int(predicted.max())) + 1


def is_near(correct: NDArray[np.bool_], expected: float) -> bool:
    """Return whether an accuracy agrees with the expected one, which may have been measured on other images.

    Args:
        correct: Whether each image is classified correctly, bool [n].
        expected: Expected accuracy.
    """
    low, high = wilson(int(correct.sum()), len(correct), Z)
    return low - ALLOWANCE <= expected <= high + ALLOWANCE


def likely_cause(predicted: NDArray[np.int64], truth: NDArray[np.int64], expected: float) -> str:
    """Return the likely cause of an unexpected accuracy.

    Args:
        predicted: Predicted classes [n].
        truth: True classes [n].
        expected: Expected accuracy.
    """
    if is_near(predicted - 1 == truth, expected):
        return LOWER
    if is_near(predicted + 1 == truth, expected):
        return HIGHER
    correct = predicted == truth
    if wilson(int(correct.sum()), len(correct), Z)[0] <= 1 / _classes(predicted, truth):
        return f"no better than guessing: {GUESSING}"
    return "wrong normalisation (mean, std), input side or interpolation, other weights, or other images"
