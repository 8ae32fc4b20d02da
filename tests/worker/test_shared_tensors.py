"""What several plugins of a job see is the same for all: none can change it for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.statistics import mean
from bench_core.types import AttackRecipe, Budget, DataRecipe, Examples, MetricRecipe, Model, Rows, Score, Step, Streams
from bench_core.worker.instrument import CachedForward
from tests.toys import ToyImages, toy_network


def into_adversarial(step: Step, clean: Examples) -> None:
    step.images.mul_(0.5)


def into_clean(step: Step, clean: Examples) -> None:
    clean.images.numpy()[:] = 0


def into_labels(step: Step, clean: Examples) -> None:
    clean.labels.data.zero_()


WRITES = {"step": into_adversarial, "clean": into_clean, "labels": into_labels}


class Writing:
    """A metric that writes into what it is given."""

    def __init__(self, into: str) -> None:
        self.into = into

    def observe(self, step: Step, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        WRITES[self.into](step, clean)
        return {"value": target(step.images).amax(1)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("value", np.asarray(rows["value"])[:, -1])


class WritingMean(Writing):
    """A metric that writes into the dataset's mean image, which the worker keeps."""

    def observe(self, clean: Examples, data_mean: Tensor, target: Model) -> Mapping[str, Tensor]:  # type: ignore[override]
        data_mean.zero_()
        return {"value": target(clean.images).amax(1)[:, None]}


class InOneBuffer:
    """An attack that goes on in the tensor that it yielded, and at last blackens it."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        images = examples.images.clone()
        for _ in range(self.budget.steps):
            images.add_(self.budget.step_size).clamp_(0, 1)
            torch.minimum(images, examples.images + self.budget.eps, out=images)
            yield images
        images.zero_()


class InManyBuffers(InOneBuffer):
    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        for images in super().__call__(model, examples, rng):
            yield images.clone()


class Views(ToyImages):
    """A dataset that returns views of its pixels."""

    def load(self, indices: Any) -> NDArray[np.float32]:
        return self.pixels[indices[0] : indices[-1] + 1]


class Plugin:
    @hookimpl
    def bench_metrics(self) -> Mapping[str, MetricRecipe]:
        return {
            "writing": MetricRecipe(Writing, "writes into what it is given"),
            "writing_mean": MetricRecipe(lambda: WritingMean("mean"), "writes into the mean image"),
        }

    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        return {
            "one_buffer": AttackRecipe(InOneBuffer, "in one tensor"),
            "many_buffers": AttackRecipe(InManyBuffers, "in many tensors"),
        }

    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"views": DataRecipe(Views, "views of its pixels")}


@pytest.fixture
def plugin(registry: Registry) -> Registry:
    registry.register(Plugin(), Origin("sharing", "tests", "1", "sharing-source"))
    return registry


def transfers(result: Any) -> list[dict[str, Any]]:
    return [score.record() for score in result.scores if score.metric.startswith(("transfer.", "clean.", "attack."))]


@pytest.mark.parametrize("data", ["toy_images", "views"])
@pytest.mark.parametrize("into", WRITES)
def test_a_metric_that_writes_into_what_it_is_given_is_void_and_spoils_no_other(
    into: str, data: str, plugin: Registry, write_suite: Callable[..., str], tmp_path: Path
) -> None:
    kind = ('kind = "toy_images"', f'kind = "{data}"')
    writing = ("[metrics]\n", f'[metrics]\nfirst = {{ recipe = "writing", into = "{into}" }}\n')
    alone = run(write_suite(kind, name="alone"), out=tmp_path / "alone", registry=plugin, executor="inline")
    company = run(write_suite(kind, writing), out=tmp_path / "company", registry=plugin, executor="inline")
    voids = {score.void for score in company.scores if score.metric.startswith("first")}
    assert voids == {f'the metric changed "{"step" if into == "step" else "clean"}" in place'}
    assert transfers(company) == transfers(alone)


def test_a_metric_that_writes_into_the_mean_image_is_void(
    plugin: Registry, write_suite: Callable[..., str], tmp_path: Path
) -> None:
    writing = ("[metrics]\n", '[metrics]\nfirst = { recipe = "writing_mean" }\n')
    result = run(write_suite(writing), out=tmp_path, registry=plugin, executor="inline")
    assert {score.void for score in result.scores if score.metric.startswith("first")} == {
        'the metric changed "data_mean" in place'
    }


def test_an_attack_may_go_on_in_the_tensor_that_it_yielded(
    plugin: Registry, write_suite: Callable[..., str], tmp_path: Path
) -> None:
    results = [
        run(write_suite(('recipe = "pgd"', f'recipe = "{name}"')), out=tmp_path / name, registry=plugin,
            executor="inline")
        for name in ("one_buffer", "many_buffers")
    ]  # fmt: skip
    assert results[0].complete, results[0].voids
    assert transfers(results[0]) == transfers(results[1])


@pytest.mark.parametrize("write", [lambda images: images.mul_(0.5), lambda images: images.data.mul_(0.5)])
def test_a_cached_forward_sees_that_its_input_was_written_into(write: Callable[[Tensor], Any]) -> None:
    network: nn.Module = toy_network()
    cached, images = CachedForward(network), torch.rand(3, 1, 4, 4)
    with torch.no_grad():
        first = cached(images)
        first[:] = 0  # nobody else sees it
        assert torch.equal(cached(images), network(images))
        write(images)
        assert torch.equal(cached(images), network(images))
