"""Paired differences of scores from a baseline, as scores that any plot can draw."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import one_line
from ..scores.images import Unpairable, difference
from ..scores.labels import Labels
from ..scores.scored import LabelledScore, Scores
from ..statistics import bootstrap


def differences(scores: Scores, value: str, baseline: Mapping[str, Any], of_attack: Collection[str]) -> Scores:
    """Subtract from each score that of the baseline, image by image.

    The baseline of a score has the labels `baseline` and otherwise the score's own labels. Scores that are a baseline
    themselves, that have none, or that are of other images than theirs are left out. A difference is white-box if
    either of its scores is.

    Args:
        scores: The scores of a run.
        value: The name of the scores, METRIC.SCORE.
        baseline: The labels of the baseline.
        of_attack: The labels that follow from the attack, so that they may differ if the baseline names it.

    Returns:
        A score for each difference, with its 95% bootstrap interval.

    Raises:
        ValueError: No score can be paired.
    """
    free = {"relation", *baseline, *(of_attack if "attack" in baseline else ())}
    valid = scores.select(value).valid()
    baselines = {score.labels.without(free): score for score in valid if score.labels.matches(baseline)}
    named = ", ".join(f'{name} = "{one_line(str(label))}"' for name, label in baseline.items())
    reason = f"no score can be compared with the baseline {named} (add its scores to the run)"
    paired = []
    for score in valid:
        other = baselines.get(score.labels.without(free), score)
        if other is score:
            continue
        try:
            paired.append(_minus(score, other))
        except Unpairable as error:
            reason = f"no paired difference from the baseline {named}: {error}"
    if not paired:
        raise ValueError(reason)
    return Scores(paired)


def _minus(score: LabelledScore, other: LabelledScore) -> LabelledScore:
    gaps = difference(score.per_image, other.per_image)
    low, high = bootstrap(gaps.values)
    numbers = replace(
        score.score, value=float(np.mean(gaps.values)), low=low, high=high, n=len(gaps.values),
        per_image=gaps.values, images=None,
    )  # fmt: skip
    labels = {**score.labels, "relation": other.labels.relation} if other.white_box else score.labels
    return replace(score, labels=Labels.of(labels), score=numbers, images=gaps.images)
