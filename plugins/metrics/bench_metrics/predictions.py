"""The target's predictions before and after the attack, as rows without scores.

`bench report` requests them for a few images; in a suite, this metric keeps them for all images, for use in a notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class Predictions:
    """The target's predicted class of the clean and the adversarial image, and its probability, [n] each, as rows."""

    scores: ClassVar = ()
    rows: ClassVar = ("before", "after", "sure_before", "sure_after")

    def observe(self, clean: Examples, adversarial: Tensor, target: Model) -> Mapping[str, Tensor]:
        sure_before, before = target(clean.images).softmax(1).max(1)
        sure_after, after = target(adversarial).softmax(1).max(1)
        return {"before": before, "after": after, "sure_before": sure_before, "sure_after": sure_after}

    def summarise(self, rows: Rows) -> Iterator[Score]:  # noqa: ARG002  (there are no scores)
        return iter(())


METRIC = Predictions
