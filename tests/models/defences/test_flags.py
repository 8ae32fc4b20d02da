"""A source behind a defence that hides its gradient is flagged; seen by an adaptive attacker it is not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench_core import run
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.result import Result
from bench_core.scores.warnings import NETWORKS, flags
from bench_core.types import DataRecipe
from bench_models.embedded.recipe import FashionMnist1000

DEFENCES = {
    "bit_depth": ("bits = 3", "zero_gradient"),
    "jpeg": ("quality = 75", "zero_gradient"),
    "median": ("side = 3", "zero_gradient"),
    "total_variation": ("weight = 0.03, iterations = 30", "zero_gradient"),
    "noise": ("sigma = 0.1", "randomised"),
    "resize_pad": ("enlarge = 1.2", "randomised"),
}
SUITE = """
title = "defended"
profiles = ["small"]
loss = "margin"
data = {{ kind = "few" }}
images = {{ count = 10, rule = "all" }}
compute = {{ micro_batch = 10 }}
sources = [{sources}]
targets = ["D", "A"]
[models]
A = {{ recipe = "embedded", name = "ResNet-S" }}
D = {{ recipe = "defended:{name}", base = "A", {options} }}
S = {{ recipe = "defended:{name}", base = "A", {options}, adaptive = true }}
[budgets]
linf = {{ norm = "linf", eps = "24/255", step_size = "4/255", steps = 8 }}
[attacks]
PGD = {{ recipe = "pgd" }}
[metrics]
transfer = {{ recipe = "transfer" }}
[on.small]
[[tables]]
name = "main"
rows = ["source"]
columns = ["target"]
value = "transfer.last"
"""


class Few(FashionMnist1000):
    def __init__(self) -> None:
        super().__init__()
        self.pixels, self.labels, self.ids = self.pixels[::25], self.labels[::25], self.ids[::25]


class FewImages:
    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"few": DataRecipe(Few, "forty images")}


@pytest.fixture
def few(registry: Registry) -> Registry:
    registry.register(FewImages(), Origin("few", "tests", "1", "few"))
    return registry


def result_of(name: str, sources: str, registry: Registry, folder: Path) -> Result:
    file = folder / "defended.toml"
    file.write_text(SUITE.format(name=name, options=DEFENCES[name][0], sources=sources))
    result = run(str(file), out=folder / "out", registry=registry, executor="inline")
    assert result.complete, result.voids
    return result


def success(result: Result, source: str, target: str) -> float:
    wanted = {"source": source, "target": target}
    (found,) = [
        score.score.value
        for score in result.scores
        if score.metric == "transfer.last" and {key: score.labels.get(key) for key in wanted} == wanted
    ]
    return found


def about(result: Result, source: str) -> list[Any]:
    """Return the kinds of warnings about a network, and about attacks on it."""
    return [w.kind for w in result.warned if source in (w.network, w.attacked[0])]


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defended_source_is_flagged_unless_its_attacker_is_adaptive(name: str, few: Registry, tmp_path: Path) -> None:
    result = result_of(name, '"D", "S"', few, tmp_path)
    kind = DEFENCES[name][1]
    assert NETWORKS[kind] in about(result, "D")
    if kind == "zero_gradient":
        assert {"noise of the same size does as well", "met a gradient of zero"} <= set(about(result, "D"))
    assert about(result, "S") == []
    assert success(result, "S", "D") > success(result, "D", "D") or kind == "randomised"
    assert any(NETWORKS[kind] in note for note in result.tables[0].notes)


def test_a_hidden_gradient_does_not_concern_the_scores_of_a_target(few: Registry, tmp_path: Path) -> None:
    """Nobody attacks its gradient."""
    result = result_of("jpeg", '"A", "S"', few, tmp_path)
    assert NETWORKS["zero_gradient"] in about(result, "D")
    assert not flags(result.scores, result.warned)
    assert not any("gradient" in note for note in result.tables[0].notes)


def test_a_defended_network_shares_the_weights_of_its_base(few: Registry, tmp_path: Path) -> None:
    result = result_of("jpeg", '"A", "S"', few, tmp_path)
    relations = {score.labels.get("relation") for score in result.scores if score.metric == "transfer.last"}
    assert relations == {"white-box"}
