"""Transfer success of the last step alone, for attacks of many steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import proportion

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class LastTransfer:
    """Share of images that the target misclassifies after the last step (targeted: classifies as the target class).

    It is the score `last` of `transfer`, which evaluates every step and so costs a forward for each.
    """

    scores: ClassVar = ("success",)

    def observe(self, adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        predicted = target(adversarial).argmax(1)
        return {"fooled": predicted != clean.labels if clean.targets is None else predicted == clean.targets}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield proportion("success", rows["fooled"].astype(bool))


METRIC = LastTransfer
