"""Security curves: a score against eps image by image, its area, and the eps at which half of the images are fooled."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..statistics import bootstrap_means, mean, proportion
from ..suite.fields import number
from ..suite.outputs import CurveEntry
from ..suite.sweeps import swept_label
from ..types import Score
from .images import ImageSet, Unpairable, joined
from .labels import Labels
from .scored import LabelledScore, Scores, void_score

HALF = 0.5


def security_curve(scores: Scores, label: str, entry: CurveEntry) -> Iterator[LabelledScore]:
    """Yield the scores of each curve: LABEL.worst at each eps, LABEL.area and LABEL.half_eps.

    Scores of one curve differ only in eps. The budget of the area and of `half_eps` is the label of the sweep.

    Args:
        scores: The scores of a run, with worst cases over attacks.
        label: The label of the curve.
        entry: The suite's entry.
    """
    curves: dict[Labels, list[LabelledScore]] = defaultdict(list)
    for score in scores.select(entry.value):
        if "eps" in score.labels and score.labels.budget is not None:
            suffix = swept_label("", {"eps": score.labels["eps"]})
            family = score.labels.budget.replace(suffix, "", 1)
            curves[Labels.of({**score.labels.without({"eps"}), "budget": family})].append(score)
    for labels, members in curves.items():
        members.sort(key=lambda score: float(number(score.labels["eps"])))
        yield from _one_curve(label, entry, labels, members)


def _one_curve(
    label: str, entry: CurveEntry, labels: Labels, members: Sequence[LabelledScore]
) -> Iterator[LabelledScore]:
    """Yield the scores of the curve through scores in ascending order of eps."""
    only = members[0].only
    void = next((score.void for score in members if score.void), None)
    if not void:
        try:
            series = [score.per_image for score in members]
            values = joined(series)
        except Unpairable as error:
            void = f"the budgets cannot be paired: {error}"
        else:
            if not len(series[0].images):
                void = "there are no images"
            elif np.isnan(values).any():
                void = f"{entry.value} is unknown on some images"
            elif ((values < 0) | (values > 1)).any():
                void = f"{entry.value} is not between 0 and 1"
    if void:
        for name in ("area", "half_eps"):
            yield replace(void_score(f"{label}.{name}", labels, void), only=only)
        return
    images = series[0].images
    worst = worst_up_to(values, entry.take)
    for score, row in zip(members, worst, strict=True):
        summary = proportion if np.isin(row, (0, 1)).all() else mean
        yield LabelledScore(f"{label}.worst", score.labels, summary("worst", row), images=images, only=only)
    eps = np.array([number(score.labels["eps"]) for score in members], dtype=np.float64)
    places, heights = with_start(eps, worst, 0.0 if entry.take == "max" else 1.0)
    if places[-1] > 0:
        yield LabelledScore(f"{label}.area", labels, mean("area", area(places, heights)), images=images, only=only)
    yield replace(_half(label, labels, places, heights, images, entry.take), only=only)


def worst_up_to(values: NDArray[np.float64], take: str) -> NDArray[np.float64]:
    """Return the worst value of each image at each eps or any smaller one.

    Args:
        values: The values [eps, n], in ascending order of eps.
        take: Whether "max" or "min" is the worst.

    Returns:
        Values [eps, n], which are monotone in eps.
    """
    return (np.minimum if take == "min" else np.maximum).accumulate(values, axis=0)


def with_start(
    eps: NDArray[np.float64], values: NDArray[np.float64], start: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eps [k] and values [k, n] of a curve that begins at eps 0, with the value `start` if it has none."""
    if eps[0] == 0:
        return eps, values
    return np.concatenate([[0.0], eps]), np.concatenate([np.full((1, values.shape[1]), start), values])


def area(eps: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under each image's curve by the trapezoidal rule, divided by the range of eps.

    Since the rule is linear, the mean over images is the area under the mean curve.

    Args:
        eps: Ascending eps [k], k > 1.
        values: Values [k, n].

    Returns:
        Areas [n], from 0 to 1 for values from 0 to 1.
    """
    return np.asarray(np.trapezoid(values, eps, axis=0) / (eps[-1] - eps[0]))


def crossing(eps: NDArray[np.float64], curve: NDArray[np.float64], take: str) -> float:
    """Return the eps at which a monotone curve [k] first reaches one half, interpolated; infinity where it does not."""
    reached = curve <= HALF if take == "min" else curve >= HALF
    if not reached.any():
        return math.inf
    index = int(reached.argmax())
    if index == 0:
        return float(eps[0])
    share = (HALF - curve[index - 1]) / (curve[index] - curve[index - 1])
    return float(eps[index - 1] + share * (eps[index] - eps[index - 1]))


def _half(
    label: str, labels: Labels, eps: NDArray[np.float64], values: NDArray[np.float64], images: ImageSet, take: str
) -> LabelledScore:
    """Return the score of the eps at which half of the images are fooled, with its 95% bootstrap interval over images.

    The eps is infinite if the curve does not reach one half, and the end of the interval if it does not in 2.5% of the
    resamples.
    """
    name, count = f"{label}.half_eps", len(images)
    value = crossing(eps, values.mean(1), take)
    resampled = np.stack([bootstrap_means(row) for row in values])  # the same resamples of images at each eps
    ends = np.quantile([crossing(eps, curve, take) for curve in resampled.T], [0.025, 0.975], method="inverted_cdf")
    return LabelledScore(name, labels, Score("half_eps", value, float(ends[0]), float(ends[1]), count), images=images)
