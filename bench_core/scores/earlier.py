"""Per-image values that depend on earlier images only, as a test that may stop at any image needs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .images import PerImage, Unpairable, joined
from .labels import Labels
from .scored import LabelledScore, Scores

FIRST = 10  # images that are judged at the last step: the best step of so few is chance


def at_step_chosen_before(values: NDArray[np.float64], first: int = FIRST) -> NDArray[np.float64]:
    """Return each image's value at the step with the largest sum over the images before it.

    Args:
        values: The value of each image at each step, [n, steps].
        first: The number of images that are judged at the last step.

    Returns:
        Values [n]. Ties go to the earliest step.
    """
    before = np.cumsum(values, axis=0) - values
    chosen = before.argmax(axis=1)
    chosen[:first] = values.shape[1] - 1
    judged: NDArray[np.float64] = values[np.arange(len(values)), chosen]
    return judged


class EarlierOnly:
    """Returns the values of scores so that each image's depends on no later image.

    Most scores are like this already. A score that chooses the step of an image by all other images, such as
    `transfer.success`, is judged anew by `at_step_chosen_before`.

    Args:
        scores: The scores of a run.
        by_step: The scores that choose a step, as METRIC.SCORE, and for each the score that has a value for each step.
    """

    def __init__(self, scores: Scores, by_step: Mapping[str, str]) -> None:
        self.by_step = by_step
        self.steps: dict[tuple[str, Labels], list[LabelledScore]] = defaultdict(list)
        for name in dict.fromkeys(by_step.values()):
            for score in scores.select(name):
                self.steps[name, score.labels.without(("step",))].append(score)

    def values(self, score: LabelledScore) -> PerImage:
        """Return the values of a score. Raises Unpairable where there are none."""
        known, name = score.per_image, self.by_step.get(score.metric)
        if name is None:
            return known
        steps: Sequence[LabelledScore] = self.steps.get((name, score.labels), ())
        if not steps:
            raise Unpairable(f"{score.metric} chooses steps by all images, and there is no {name} to choose anew")
        ordered = sorted(steps, key=lambda one: int(one.labels["step"]))
        values = joined([one.per_image for one in ordered]).T
        return PerImage(ordered[0].per_image.images, at_step_chosen_before(values))
