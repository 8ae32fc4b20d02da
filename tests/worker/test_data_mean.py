"""The mean image that metrics get, and the cost that they declare."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from bench_core import load_suite, run
from bench_core.data_mean import SAMPLED, data_mean, data_mean_digest, sampled
from bench_core.hookspecs import hookimpl
from bench_core.planning.plan import make_plan
from bench_core.registry import Origin, Registry
from bench_core.run_suite import resolve_suite
from bench_core.statistics import mean
from bench_core.store import Store
from bench_core.types import MetricRecipe
from tests.toys import ToyImages


def test_the_mean_is_of_images_spread_evenly_over_the_dataset() -> None:
    data = ToyImages(20)
    assert np.allclose(data_mean(data), data.pixels.mean(0), atol=1e-6)
    assert sampled(20) == list(range(20))
    chosen = sampled(50_000)
    assert len(chosen) == len(set(chosen)) == SAMPLED
    assert set(np.diff(chosen)) == {50}
    assert data_mean_digest(data) != data_mean_digest(ToyImages(19))


@dataclass(frozen=True)
class ReturnsMean:
    """Returns the mean of the mean image that it is given."""

    needs_attack: bool = False
    passes: int = 7

    @property
    def observe(self):
        def before(clean, target, data_mean):
            return {"mean": data_mean.mean().expand(len(clean.images))}

        def after(clean, adversarial, source, data_mean):
            return {"mean": data_mean.mean().expand(len(clean.images))}

        return after if self.needs_attack else before

    @property
    def forwards(self) -> float:
        return self.passes

    def summarise(self, rows):
        yield mean("mean", rows["mean"])


class Plugin:
    @hookimpl
    def bench_metrics(self):
        return {"handed": MetricRecipe(ReturnsMean, "a metric")}


@pytest.fixture
def suite(registry: Registry, write_suite) -> str:
    registry.register(Plugin(), Origin("handed", "tests", "1", ""))
    attacked = 'after = { recipe = "handed", needs_attack = true }\nbefore = { recipe = "handed", over = "selected" }\n'
    return write_suite(("[metrics]", f"[metrics]\n{attacked}"))


def test_metrics_get_the_mean_of_the_whole_dataset(registry: Registry, suite: str, tmp_path) -> None:
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    expected = torch.from_numpy(ToyImages().pixels).mean().item()
    values = [score.score.value for score in result.scores if score.metric in ("after.mean", "before.mean")]
    assert len(values) == 2 + 2
    assert values == pytest.approx([expected] * 4, abs=1e-6)


def test_another_dataset_of_the_same_images_has_other_cells(registry: Registry, suite: str, tmp_path) -> None:
    """The first twelve images are attacked in both, but twenty or nineteen are averaged."""

    def keys(count: int) -> dict[str, set[str]]:
        loaded = load_suite(suite, overrides=(f"data.count={count}",))
        plan = make_plan(resolve_suite(loaded, registry), Store(tmp_path))
        return {
            name: {cell.key for job in plan.jobs for cell in job.cells if cell.metric == name}
            for name in ("after", "transfer")
        }

    assert keys(20)["after"].isdisjoint(keys(19)["after"])
    assert keys(20)["transfer"] == keys(19)["transfer"]


def test_a_plan_counts_what_metrics_cost(registry: Registry, suite: str, tmp_path) -> None:
    def evaluations(passes: int) -> tuple[float, float]:
        key = ("metrics.after.passes", "metrics.before.passes")
        loaded = load_suite(suite, overrides=tuple(f"{name}={passes}" for name in key))
        jobs = make_plan(resolve_suite(loaded, registry), Store(tmp_path)).jobs
        attacked = sum(job.evaluations for job in jobs if "attack" in job.labels)
        return attacked, sum(job.evaluations for job in jobs) - attacked

    few, many = evaluations(1), evaluations(101)
    assert many[0] - few[0] == 100 * 12 * 2  # two sources
    assert many[1] - few[1] == 100 * 12 * 2  # two targets
