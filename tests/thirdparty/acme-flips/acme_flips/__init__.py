"""How often the target's prediction changes during an attack, and at which step it is first wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_core.hookspecs import hookimpl
from bench_core.statistics import mean, proportion
from bench_core.types import Examples, MetricRecipe, Model, Rows, Score, Step

if TYPE_CHECKING:
    from torch import Tensor

BENCH_API_VERSION = 1


@dataclass(frozen=True)
class Flips:
    """`changes`: changes of the prediction. `ever`: share of images that are ever misclassified. `first`: the step."""

    scores = ("changes", "ever", "first")
    rows = ("answer",)

    def observe(self, step: Step, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        answer = target(step.images).argmax(1)
        return {"answer": answer, "wrong": answer != clean.labels}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        answer, wrong = np.asarray(rows["answer"]), np.asarray(rows["wrong"], dtype=bool)
        yield mean("changes", (np.diff(answer, axis=1) != 0).sum(axis=1))
        ever = wrong.any(axis=1)
        yield proportion("ever", ever)
        yield mean("first", 1 + wrong[ever].argmax(axis=1))  # over the images that are ever misclassified


@hookimpl
def bench_metrics() -> Mapping[str, MetricRecipe]:
    return {"acme_flips": MetricRecipe(Flips, "How the target's answer changes on the way.")}
