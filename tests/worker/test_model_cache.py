"""A worker keeps a limited number of models: the least recently used is evicted, and built again on demand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench_core.hookspecs import hookimpl
from bench_core.planning.planner import clean_jobs
from bench_core.registry import Origin, Registry
from bench_core.run_suite import resolve_suite, run
from bench_core.suite.load import load_suite
from bench_core.types import ModelRecipe
from bench_core.worker.build import MODELS_KEPT
from bench_core.worker.job import Worker
from tests.toys import ToyPlugin


@pytest.fixture
def compute(registry: Registry, write_suite) -> Callable[[int], bytes]:
    """Return a function that computes the clean images' job of the model with a seed, all in one worker."""
    worker = Worker(registry)

    def of_model(seed: int) -> bytes:
        sources = ('sources = ["A", ["A", "B"]]', 'sources = ["A"]')
        suite = write_suite(("seed = 1", f"seed = {seed}"), sources, ('targets = ["A", "B"]', 'targets = ["A"]'))
        (job,) = clean_jobs(resolve_suite(load_suite(suite), registry))
        return worker.compute(job.job.to_json(), [cell.key for cell in job.cells])

    return of_model


def test_the_least_recently_used_model_is_evicted_and_built_again(compute, toys: ToyPlugin) -> None:
    bundles = [compute(seed) for seed in range(MODELS_KEPT)]
    assert toys.built == MODELS_KEPT
    assert compute(0) == bundles[0]
    assert toys.built == MODELS_KEPT, "every model is kept up to the limit"
    compute(MODELS_KEPT)  # evicts model 1, since model 0 was used after it
    built = toys.built
    assert compute(0) == bundles[0]
    assert toys.built == built
    assert compute(1) == bundles[1]
    assert toys.built == built + 1


def test_different_models_have_different_results(compute) -> None:
    assert compute(0) != compute(1)


class Randomised(nn.Module):
    """Draws from torch's global generator."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :3] + torch.randn(len(images), 3)


class RandomisedPlugin:
    @hookimpl
    def bench_models(self) -> dict[str, ModelRecipe]:
        def build(seed: int = 0) -> nn.Module:
            return Randomised()

        return {"randomised": ModelRecipe(build, lambda seed: {"seed": seed}, "draws")}


def test_randomised_models_keep_their_streams_when_more_are_used_than_are_kept(
    registry: Registry, write_suite, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is evicted within a job would come back without its stream, and draw from the global generator."""
    monkeypatch.setattr("bench_core.worker.build.MODELS_KEPT", 1)
    registry.register(RandomisedPlugin(), Origin("randomised", "tests", "1", "randomised-source"))
    models = [(f'"{label}" = {{ recipe = "toy"', f'"{label}" = {{ recipe = "randomised"') for label in "AB"]
    attack = ('{ recipe = "pgd" }', '{ recipe = "noise" }')
    suite = write_suite(*models, attack)
    results = [run(suite, out=tmp_path / str(place), registry=registry, executor="inline") for place in range(2)]
    assert all(result.complete for result in results)
    assert results[0].records() == results[1].records()
