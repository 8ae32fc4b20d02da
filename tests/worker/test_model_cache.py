"""A worker keeps a limited number of models: the least recently used is evicted, and built again on demand."""

from collections.abc import Callable

import pytest

from bench_core.registry import Registry
from bench_core.run import resolve_suite
from bench_core.suite.model import load_suite
from bench_core.worker.job import MODELS_KEPT, Worker
from tests.toys import ToyPlugin


@pytest.fixture
def compute(registry: Registry, write_suite) -> Callable[[int], bytes]:
    """Return a function that computes the clean images' job of the model with a seed, all in one worker."""
    worker = Worker(registry)

    def of_model(seed: int) -> bytes:
        sources = ('sources = ["A", ["A", "B"]]', 'sources = ["A"]')
        suite = write_suite(("seed = 1", f"seed = {seed}"), sources, ('targets = ["A", "B"]', 'targets = ["A"]'))
        (job,) = resolve_suite(load_suite(suite), registry).clean_jobs()
        return worker.compute(job.spec, [cell.key for cell in job.cells])

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
