"""The images themselves, as rows without scores.

`bench report` requests them for a few images; in a suite, this metric keeps them for all images, for use in a notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score


@dataclass(frozen=True)
class Pictures:
    """The clean and the adversarial images, [n, c, h, w] in [0, 1], as rows."""

    scores: ClassVar = ()
    rows: ClassVar = ("clean", "adversarial")

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        return {"clean": clean.images, "adversarial": adversarial}

    def summarise(self, rows: Rows) -> Iterator[Score]:  # noqa: ARG002  (there are no scores)
        return iter(())


METRIC = Pictures
