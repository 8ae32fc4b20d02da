"""A metric that fails when it summarises, or whose rows differ between batches, costs its own scores and no others."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bench_core import run
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.types import Examples, MetricRecipe, Score


class Failing:
    """Observes every batch, and raises in the end."""

    def observe(self, clean: Examples, adversarial: Tensor) -> dict[str, Tensor]:
        return {"size": (adversarial - clean.images).flatten(1).abs().amax(1)}

    def summarise(self, rows: dict[str, np.ndarray]) -> list[Score]:
        raise ValueError("no such score")


class Changing(Failing):
    """Names its rows by the number of images, which differs in the last batch."""

    def observe(self, clean: Examples, adversarial: Tensor) -> dict[str, Tensor]:
        return {f"row of {len(clean.labels)}": torch.zeros(len(clean.labels))}


class Plugin:
    @hookimpl
    def bench_metrics(self) -> dict[str, MetricRecipe]:
        return {"failing": MetricRecipe(Failing, "raises"), "changing": MetricRecipe(Changing, "renames its rows")}


@pytest.mark.parametrize(("name", "reason"), [("failing", "ValueError: no such score"), ("changing", "rows differ")])
def test_it_costs_its_own_scores(
    name: str, reason: str, registry: Registry, write_suite: Callable[..., str], tmp_path
) -> None:
    registry.register(Plugin(), Origin("late", "tests", "1", "late-source"))
    suite = write_suite(("[on.toy]", f'late = {{ recipe = "{name}" }}\n[on.toy]'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    voids = [score for score in result.scores if score.void]
    assert voids
    assert all(score.metric == "late.*" and reason in score.void for score in voids)
    assert result.tables[0].rows
