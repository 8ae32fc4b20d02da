"""Transfer utility: how much images made on the source change the target's margin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.logits import margin
from bench_core.statistics import mean

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class TransferUtility:
    """Change of the target's margin, `v(all) - v(empty)` (arXiv:2010.04055, sec. 3.2), in logits."""

    scores: ClassVar = ("utility",)

    def observe(self, adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        return {"utility": margin(target(adversarial), clean.labels) - margin(target(clean.images), clean.labels)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("utility", rows["utility"])


METRIC = TransferUtility
