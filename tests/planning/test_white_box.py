"""A target with any weights of the source is white-box: whatever it is made of, and whatever its label."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench_core import run
from bench_core.planning.specs import ModelSpec
from bench_core.registry import Registry

DIGEST, OTHER = "a1" * 32, "b2" * 32
MADE_OF_A = """
[models.around]
recipe = "ensemble"
members = ["A"]
combine = "logits"
[models.smooth]
recipe = "smoothed"
base = "around"
sigma = 0.25
n = 4
"""


def test_targets_made_of_the_source_are_white_box(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    sources = ('sources = ["A", ["A", "B"]]', 'sources = ["A", "B"]')
    targets = ('targets = ["A", "B"]', 'targets = ["around", "smooth", "B"]')
    result = run(write_suite(sources, targets, append=MADE_OF_A), out=tmp_path, registry=registry, executor="inline")
    relations = {
        (score.labels.source, score.labels.target): score.labels["relation"]
        for score in result.scores
        if score.metric == "transfer.success"
    }
    of_a = {target: relations["A", target] for target in ("around", "smooth", "B")}
    assert of_a == {"around": "white-box", "smooth": "white-box", "B": "black-box"}
    of_b = {target: relations["B", target] for target in ("around", "smooth", "B")}
    assert of_b == {"around": "black-box", "smooth": "black-box", "B": "white-box"}


def model(recipe: str = "a", identity: Any = None, **parts: ModelSpec | tuple[ModelSpec, ...]) -> ModelSpec:
    return ModelSpec(recipe, {}, identity or {}, "code", parts)


def test_the_weights_of_a_model_are_those_of_all_its_parts() -> None:
    leaf, other = model(identity={"sha256": DIGEST}), model("b", {"weights": [{"file": OTHER.upper()}], "v": "1"})
    assert leaf.weights == {DIGEST}
    assert model("wrapper", base=model("ensemble", members=(leaf, other))).weights == {DIGEST, OTHER}


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (model("a", {"sha256": DIGEST}), model("b", {"weights": [DIGEST], "library": "1.0"}), True),
        (model("a", {"sha256": DIGEST}), model("a", {"sha256": OTHER}), False),
        (model("a", {"seed": 1}), model("a", {"seed": 1}), True),
        (model("a", {"seed": 1}), model("b", {"seed": 1}), False),
        (model("a", {"library": "1.0"}), model("wrapper", {"library": "1.0"}, base=model("b")), False),
    ],
)
def test_two_models_share_weights_if_they_share_a_digest_or_are_the_same(
    first: ModelSpec, second: ModelSpec, shared: bool
) -> None:
    assert (not first.weights.isdisjoint(second.weights)) == shared
