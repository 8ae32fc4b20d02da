"""A score with its labels, and a collection of scores that is filtered and averaged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ..types import Score
from .images import ImageSet, PerImage, Unpairable, mean_of, per_image
from .labels import NO_LABELS, Labels, Relation

EVERY = "*"  # in place of SCORE, where a metric is void and so has no scores with names


def names_for(value: str) -> tuple[str, str]:
    """Return the names of scores that stand for `value` (METRIC.SCORE): itself, and METRIC.* for all of METRIC."""
    return value, f"{value.partition('.')[0]}.{EVERY}"


def covers(name: str, value: str) -> bool:
    """Return whether a score's name stands for `value`; see `names_for`."""
    return name in names_for(value)


@dataclass(frozen=True)
class LabelledScore:
    """A score with everything that identifies it.

    Attributes:
        metric: The score's name, METRIC.SCORE; METRIC.* where the whole metric is void.
        labels: The source, attack, target and so on.
        score: The numbers.
        void: The reason where there is no value.
        unit: What the score's `n` counts.
        images: The images of `score.per_image`; None where there are no such values or their images are unknown.
        only: The outcomes that an image must have to count; see `scores.only`. All images count by default.
    """

    metric: str
    labels: Labels
    score: Score
    void: str | None = None
    unit: str = "images"
    images: ImageSet | None = None
    only: tuple[str, ...] = ()

    @property
    def white_box(self) -> bool:
        return self.labels.relation is Relation.WHITE_BOX

    @property
    def per_image(self) -> PerImage:
        """The values with their images, in ascending order. Raises Unpairable where there are none."""
        if self.void:
            raise Unpairable(f"{self.metric} is void: {self.void}")
        if self.score.per_image is None:
            raise Unpairable(f"{self.metric} has no value for each image")
        if self.images is None:
            raise Unpairable(f"{self.metric} does not state which images its values are of")
        return per_image(self.images, self.score.per_image)

    def record(self) -> dict[str, Any]:
        """Return a flat JSON record, without the per-image values; numbers that are not finite become None.

        It has `subset`, the outcomes `only`, where not all images count.
        """
        numbers = {"value": self.score.value, "low": self.score.low, "high": self.score.high}
        finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        subset = {"subset": " and ".join(self.only)} if self.only else {}
        return {"metric": self.metric, **self.labels, **subset, **finite, "n": self.score.n, "void": self.void}


def void_score(name: str, labels: Labels, reason: str, unit: str = "images") -> LabelledScore:
    """Build a score without a value."""
    return LabelledScore(name, labels, Score("", math.nan, math.nan, math.nan, 0), reason, unit)


class Scores(Sequence[LabelledScore]):
    """An immutable sequence of scores."""

    def __init__(self, scores: Iterable[LabelledScore] = ()) -> None:
        self._scores = tuple(scores)

    @overload
    def __getitem__(self, index: int) -> LabelledScore: ...
    @overload
    def __getitem__(self, index: slice) -> Scores: ...
    def __getitem__(self, index: int | slice) -> LabelledScore | Scores:
        return Scores(self._scores[index]) if isinstance(index, slice) else self._scores[index]

    def __len__(self) -> int:
        return len(self._scores)

    def __iter__(self) -> Iterator[LabelledScore]:
        return iter(self._scores)

    def select(self, value: str, where: Mapping[str, Any] = NO_LABELS) -> Scores:
        """Return the scores named `value` (METRIC.SCORE) with the labels `where`, including void ones."""
        names = names_for(value)
        return Scores(score for score in self._scores if score.metric in names and score.labels.matches(where))

    def valid(self) -> Scores:
        """Return the scores that have a value."""
        return Scores(score for score in self if not score.void)

    def black_box(self) -> Scores:
        """Return the scores whose target is not a member of the source, or that have no target."""
        return Scores(score for score in self if not score.white_box)

    def mean_per_image(self) -> PerImage:
        """Average the scores image by image. Raises Unpairable where their images differ."""
        return mean_of([score.per_image for score in self])
