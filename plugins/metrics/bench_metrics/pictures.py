"""What there is to look at: the images themselves, and what each target says of them. They give no scores.

`bench report` asks for them for a few images; in a suite they keep them for all, for a notebook to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class Pictures:
    """The clean and the adversarial images, [n, c, h, w] in [0, 1], as rows."""

    scores: ClassVar = ()
    rows: ClassVar = ("clean", "adversarial")

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        return {"clean": clean.images, "adversarial": adversarial}

    def summarise(self, rows: Rows) -> Iterator[Score]:  # noqa: ARG002  (nothing is a score)
        return iter(())


@dataclass(frozen=True)
class Predictions:
    """The target's class of the clean and of the adversarial image [n], and the probability it gives it, as rows."""

    scores: ClassVar = ()
    rows: ClassVar = ("before", "after", "sure_before", "sure_after")

    def observe(self, clean: Examples, adversarial: Tensor, target: Model) -> Mapping[str, Tensor]:
        sure_before, before = target(clean.images).softmax(1).max(1)
        sure_after, after = target(adversarial).softmax(1).max(1)
        return {"before": before, "after": after, "sure_before": sure_before, "sure_after": sure_after}

    def summarise(self, rows: Rows) -> Iterator[Score]:  # noqa: ARG002  (nothing is a score)
        return iter(())
