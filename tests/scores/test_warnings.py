"""Broken networks and attacks raise their own warning; sound ones raise none."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core import load_result, load_suite, run
from bench_core.cli import app, guard
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.result import Result
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.rows import RowSet
from bench_core.scores.scored import LabelledScore
from bench_core.scores.warnings import NETWORKS, flags, warnings
from bench_core.suite.budget import BudgetEntry
from bench_core.types import ModelRecipe, Score
from tests.toys import toy_network


class Around(nn.Module):
    """The toy network with a function before it and one after it."""

    def __init__(
        self, before: Callable[[Tensor], Tensor] = lambda x: x, after: Callable[[Tensor], Tensor] = lambda x: x
    ) -> None:
        super().__init__()
        self.inside, self.before, self.after = toy_network(1), before, after

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.inside(self.before(images)))


def resized(images: Tensor) -> Tensor:
    """Shift by a random number of pixels, as a defence that draws from torch's global generator would."""
    return images.roll(int(torch.randint(0, 4, ())), -1)


BROKEN: Mapping[str, tuple[Callable[[], nn.Module], str]] = {
    "quantised": (lambda: Around(before=lambda x: (x * 3).round() / 3), NETWORKS["zero_gradient"]),
    "constant": (lambda: Around(before=lambda x: x.detach() + 0 * x), NETWORKS["zero_gradient"]),
    "softmax": (lambda: Around(after=lambda x: x.softmax(-1)), NETWORKS["softmax"]),
    "saturated": (lambda: Around(after=lambda x: x * 1e4), NETWORKS["saturated"]),
    "randomised": (lambda: Around(before=resized), NETWORKS["randomised"]),
    "noisy": (lambda: Around(before=lambda x: x + 0.05 * torch.randn_like(x)), NETWORKS["randomised"]),
}


class BrokenNetworks:
    @hookimpl
    def bench_models(self) -> Mapping[str, ModelRecipe]:
        def recipe(name: str) -> ModelRecipe:
            def build() -> nn.Module:
                return BROKEN[name][0]()

            return ModelRecipe(build, lambda: {"broken": name}, "broken on purpose")

        outside = ModelRecipe(lambda: Around(before=without_gradient), lambda: {"broken": "outside"}, "not torch's")
        return {"outside": outside, **{name: recipe(name) for name in BROKEN}}


@pytest.fixture
def broken(registry: Registry) -> Registry:
    registry.register(BrokenNetworks(), Origin("broken", "tests", "1", "broken"))
    return registry


def kinds(result: Result) -> set[str]:
    return {warning.kind for warning in result.warned}


@pytest.mark.parametrize("name", BROKEN)
def test_a_network_broken_on_purpose_raises_its_flag(name, broken, write_suite, tmp_path) -> None:
    attack = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"FGSM" = { recipe = "fgsm" }')
    suite = write_suite(('{ recipe = "toy", seed = 1 }', f'{{ recipe = "{name}" }}'), attack)
    result = run(suite, out=tmp_path / "out", registry=broken, executor="inline")
    assert result.complete, result.voids
    raised = {warning.kind for warning in result.warned if warning.network == "A"}
    assert raised == {BROKEN[name][1]}
    assert not any(warning.network == "B" for warning in result.warned), "the other network is sound"
    assert any(BROKEN[name][1] in note for note in result.tables[0].notes)
    if BROKEN[name][1] == NETWORKS["zero_gradient"]:
        assert {"noise of the same size does as well", "met a gradient of zero"} <= kinds(result)
    again = run(suite, out=tmp_path / "again", registry=broken, executor="inline")
    assert [score.record() for score in again.scores] == [score.record() for score in result.scores]


def without_gradient(images: Tensor) -> Tensor:
    """Raise where a gradient is needed, as code outside of torch does."""
    return torch.from_numpy(images.numpy())


def test_a_network_that_cannot_be_differentiated_is_a_target_like_any_other(broken, write_suite, tmp_path) -> None:
    suite = write_suite(
        ('"A" = { recipe = "toy", seed = 1 }', '"A" = { recipe = "outside" }'), ('["A", ["A", "B"]]', '["B"]')
    )
    result = run(suite, out=tmp_path, registry=broken, executor="inline", strict=True)
    assert {warning.kind for warning in result.warned if warning.network == "A"} == {NETWORKS["no_gradient"]}


def test_a_sound_network_raises_no_flag(registry, write_suite, tmp_path) -> None:
    result = run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    assert not any(warning.network for warning in result.warned)
    assert not kinds(result) & {
        "noise of the same size does as well",
        "met a gradient of zero",
        "left images unchanged",
    }


def test_flags_are_in_tables_the_leaderboard_and_the_record_unless_switched_off(
    broken, write_suite, tmp_path, capsys
) -> None:
    gate = '[gate]\n"transfer.success" = { better = "higher" }\n'
    suite = write_suite(('{ recipe = "toy", seed = 1 }', '{ recipe = "softmax" }'), append=gate)
    result = run(load_suite(suite), out=tmp_path / "r", registry=broken, executor="inline")
    flag = NETWORKS["softmax"]
    assert any(flag in line for line in json.loads((result.folder / "run.json").read_text())["warnings"])
    assert flag in (result.folder / "tables" / "main.md").read_text()
    for warn in (True, False):
        shown = load_result(result.folder, broken, warn)
        assert any(flag in note for note in shown.tables[0].notes) == warn
        (sheet,) = leaderboards(read_contributions([str(result.folder)], broken, warn))
        assert any(flag in str(entry) for row in sheet.rows for entry in row) == warn
    for off, expected in (([], True), (["--no-warnings"], False)):
        command = ["show", str(result.folder), *off]
        assert guard(lambda: app(command, prog_name="bench", standalone_mode=False), False) == 0  # noqa: B023
        assert (flag in capsys.readouterr().out) == expected


N = 40


def record(
    lead: float, before: float | None = None, noise: float = -5.0, backwards: float = 20.0
) -> dict[str, np.ndarray]:
    """Return rows of an attack whose margins are evenly spread over an interval of length 1 around a mean."""
    spread = np.linspace(-0.5, 0.5, N)
    return {
        "linf": np.full(N, 0.1), "forwards": np.full(N, 20.0), "backwards": np.full(N, backwards),
        "margin": lead + spread, "margin_of_noise": noise + spread,
        "margin_before": spread + (lead if before is None else before),
    }  # fmt: skip


def recorded(source: str, attack: str, budget: str, arrays: dict[str, np.ndarray]) -> RowSet:
    return RowSet("attack", Labels(source, attack, budget), ImageSet.of("selected", range(N)), arrays)


def found(records: Mapping[tuple[str, str], dict[str, np.ndarray]]) -> set[str]:
    rows = [recorded("S", attack, budget, arrays) for (attack, budget), arrays in records.items()]
    budgets = {
        name: BudgetEntry(norm="linf", eps=eps, step_size=0.01, steps=20) for name, eps in (("8", 0.03), ("16", 0.06))
    }
    return {
        f"{warning.attacked[1]} {warning.attacked[2]}: {warning.kind}"
        for warning in warnings(rows, [], budgets, {}, {"PGD"})
    }


FGSM = record(3.0, backwards=1.0) | {"forwards": np.ones(N)}
ALL_OR_NOTHING = record(-4.9) | {"all_or_nothing": np.ones(N, dtype=bool)}  # fools nothing; noise climbs a little


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({("PGD", "8"): record(3.0)}, set()),
        ({("PGD", "8"): record(-3.0)}, set()),
        ({("PGD", "8"): record(-3.0, noise=-3.0)}, {"PGD 8: noise of the same size does as well"}),
        ({("until", "8"): record(-3.0, noise=-3.0) | {"reached": np.ones(N)}}, set()),
        ({("PGD", "8"): record(-3.0, before=-4.0)}, {"PGD 8: still climbing at its last step: give it more steps"}),
        ({("PGD", "8"): record(-3.0, before=-3.1)}, set()),
        ({("PGD", "8"): record(3.0, before=1.0)}, set()),
        ({("PGD", "8"): record(-1.0, before=1.0)}, {"PGD 8: loses success on its own source"}),
        ({("back", "8"): record(-1.0, before=1.0) | {"reached": np.ones(N)}}, set()),
        ({("PGD", "8"): record(3.0), ("FGSM", "8"): record(-1.0, backwards=1.0)}, set()),
        ({("PGD", "8"): record(-1.0), ("FGSM", "8"): record(3.0, backwards=1.0)},
         {"PGD 8: an attack of a single step is stronger"}),
        ({("PGD", "8"): record(3.0), ("PGD", "16"): record(4.0)}, set()),
        ({("PGD", "8"): record(3.0), ("PGD", "16"): record(-1.0)}, {"PGD 16: a smaller eps is stronger"}),
        ({("PGD", "8"): record(3.0) | {"linf": np.arange(N) * 1.0}}, {"PGD 8: left images unchanged"}),
        ({("PGD", "8"): record(3.0) | {"zero_gradients": np.eye(N)[0]}}, {"PGD 8: met a gradient of zero"}),
        ({("until", "8"): record(3.0) | {"linf": np.zeros(N), "reached": np.ones(N)}}, set()),
        ({("auto", "8"): ALL_OR_NOTHING | {"linf": np.arange(N) * 1.0}}, set()),
        ({("auto", "8"): ALL_OR_NOTHING | {"margin_of_noise": np.full(N, -4.8)}}, set()),
        ({("auto", "8"): ALL_OR_NOTHING | {"margin_of_noise": np.full(N, 1.0)}},
         {"auto 8: noise of the same size does as well"}),
        ({("PGD", "8"): record(3.0), ("new", "8"): record(-1.0)}, {"new 8: plain gradient ascent is stronger"}),
        ({("PGD", "8"): record(3.0), ("search", "8"): record(-1.0, backwards=0.0) | {"forwards": np.full(N, 99.0)}},
         {"search 8: plain gradient ascent is stronger"}),
        ({("PGD", "8"): record(-1.0), ("new", "8"): record(3.0)}, set()),
        ({("PGD", "8"): record(3.0), ("step", "8"): record(-1.0, backwards=1.0) | {"forwards": np.ones(N)}}, set()),
        ({("PGD", "8"): record(3.0), ("until", "8"): record(-1.0) | {"reached": np.ones(N)}}, set()),
        ({("search", "8"): record(-1.0, backwards=0.0), ("FGSM", "8"): FGSM},
         {"search 8: an attack of a single step is stronger"}),
        ({("until", "8"): record(-1.0) | {"reached": np.ones(N)}, ("FGSM", "8"): record(3.0, backwards=1.0)}, set()),
        ({("noise", "8"): record(-5.0, backwards=0.0) | {"forwards": np.zeros(N)}}, set()),
    ],
)  # fmt: skip
def test_what_an_attack_should_not_do_raises_its_flag_and_what_it_may_does_not(records, expected) -> None:
    assert found(records) == expected


def test_no_attack_gains_more_than_all_of_its_gain_in_its_last_steps() -> None:
    """The steps before can have lowered the margin below that of noise."""
    rows = [recorded("A", "PGD", "b", record(-3.0, before=-4.0, noise=-3.0))]
    budgets = {"b": BudgetEntry(norm="linf", eps=0.03, step_size=0.01, steps=20)}
    climbing = [one.found for one in warnings(rows, [], budgets, {}) if "still climbing" in one.kind]
    assert climbing == ["100% of images not fooled, 100% of their gain in the last steps"]


def test_a_flag_names_a_few_and_counts_the_rest() -> None:
    rows = [recorded(f"S{i}", "PGD", "b", record(-3.0, noise=-3.0)) for i in range(7)]
    budgets = {"b": BudgetEntry(norm="linf", eps=0.03, step_size=0.01, steps=20)}
    scores = [LabelledScore("attack.linf", row.labels, Score("linf", 0.1, 0.1, 0.1, N)) for row in rows]
    (line,) = flags(scores, warnings(rows, [], budgets, {}))
    assert line.startswith("W: noise of the same size does as well: PGD on S0, b (")
    assert line.endswith("; 4 more")


HONEST = """
title = "honest"
profiles = ["embedded"]
loss = "margin"
[images]
count = {count}
models = [{judges}]
[attacks]
"PGD" = {{ recipe = "pgd" }}
"FGSM" = {{ recipe = "fgsm" }}
"noise" = {{ recipe = "noise" }}
[metrics]
transfer = {{ recipe = "transfer" }}
[budgets.small]
norm = "linf"
eps = "8/255"
step_size = "1/255"
steps = 40
[budgets.large]
norm = "linf"
eps = "16/255"
step_size = "2/255"
steps = 40
[on.embedded]
sources = [{networks}]
targets = [{networks}]
[[tables]]
name = "main"
rows = ["source", "attack", "budget"]
columns = ["target"]
value = "transfer.last"
"""
ZOO = ["AlexNet", "VGG", "ResNet-S", "ResNet-L", "DenseNet-S", "DenseNet-L", "SENet", "Inception", "IncResNet",
       "MobileNet", "ResNet-S-adv", "VGG-adv", "ResNet-S-noise"]  # fmt: skip


@pytest.mark.parametrize(
    ("networks", "count"),
    [(["AlexNet", "ResNet-S-adv"], 16), *(pytest.param([name], 50, marks=pytest.mark.slow, id=name) for name in ZOO)],
)
def test_no_embedded_network_raises_a_flag(networks: list[str], count: int, tmp_path: Path) -> None:
    named = ", ".join(f'"{name}"' for name in networks)
    path = tmp_path / "honest.toml"
    path.write_text(HONEST.format(count=count, networks=named, judges=named))
    result = run(str(path), out=tmp_path / "out", executor="inline")
    assert [f"{warning.kind}: {warning}" for warning in result.warned] == []


def test_a_label_with_a_plus_is_one_network(broken, write_suite, tmp_path) -> None:
    suite = write_suite(
        ('"A" = { recipe = "toy", seed = 1 }', '"A+" = { recipe = "softmax" }'),
        ('sources = ["A", ["A", "B"]]', 'sources = ["A+", ["A+", "B"]]'),
        ('targets = ["A", "B"]', 'targets = ["B"]'),
        ("eps = 0.1", 'eps = 0.1\nsources = ["A+", "A++B"]'),
    )
    result = run(suite, out=tmp_path, registry=broken, executor="inline")
    assert {each.kind for each in result.warned if each.network} == {NETWORKS["softmax"]}
    for source in ("A+", "A++B"):
        attacked = [score for score in result.scores if score.labels.source == source]
        assert any(NETWORKS["softmax"] in line for line in flags(attacked, result.warned)), source
