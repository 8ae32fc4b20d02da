"""A budget that limits the passes: the steps that each attack gets, their length, and who is refused."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.planning.budgets import NoStep, budget_for
from bench_core.planning.jobs import AttackJob
from bench_core.planning.plan import make_plan
from bench_core.planning.resolve import ResolvedSuite
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.store import Store
from bench_core.types import Budget, Cost

WriteSuite = Callable[..., str]
LIMITED = """
title    = "Equal passes"
profiles = ["embedded"]

[attacks]
{attacks}

[metrics]
utility = {{ recipe = "transfer_utility" }}

[on.embedded]
sources = {sources}
targets = ["VGG"]
images  = {{ count = 2, models = ["ResNet-S"] }}
budgets.equal = {{ norm = "linf", eps = "16/255", step_size = "1/255", steps = 16, passes = {passes} }}

[[tables]]
name    = "main"
rows    = ["attack"]
columns = ["target"]
value   = "utility.utility"
"""
ATTACKS = """
"MI"    = { recipe = "mi" }
"VMI"   = { recipe = "vmi", neighbours = 3 }
"FIA"   = { recipe = "fia", masks = 4 }
"RAP"   = { recipe = "rap", reverse_steps = 2, late_start = 4 }
"NAA"   = { recipe = "naa", path = 3 }
"""


def written(path: Path, attacks: str = ATTACKS, sources: str = '["ResNet-S"]', passes: int = 26) -> str:
    path.write_text(LIMITED.format(attacks=attacks, sources=sources, passes=passes))
    return str(path)


def resolved(path: str, registry: Registry) -> ResolvedSuite:
    return resolve_suite(load_suite(path), registry)


@pytest.mark.parametrize("passes", [3, 8, 9, 31, 32, 33, 1000])
@pytest.mark.parametrize("cost", [Cost(1, 1), Cost(2, 1), Cost(1, 1, 1, 0), Cost(1.5, 1.25)])
def test_an_attack_gets_the_most_steps_that_the_passes_allow(passes: int, cost: Cost, write_suite: WriteSuite) -> None:
    suite = load_suite(write_suite(("steps = 4", f"steps = 16\npasses = {passes}")))
    entry = suite.budgets["linf"]
    allowed = [count for count in range(1, 17) if sum(cost.total(count)) <= passes]
    found = budget_for(suite, "linf", lambda budget: sum(cost.total(budget.steps)))
    assert found.steps == max(allowed)
    assert found.steps * found.step_size == pytest.approx(entry.steps * entry.step_size)
    assert (found.norm, found.eps) == (entry.norm, entry.eps)


def test_a_cost_that_depends_on_the_number_of_steps_is_that_of_the_steps_it_gets(write_suite: WriteSuite) -> None:
    suite = load_suite(write_suite(("steps = 4", "steps = 16\npasses = 20")))

    def passes_of(budget: Budget) -> float:  # the last quarter of the steps costs three times as much
        return budget.steps + 2 * (budget.steps // 4)

    assert budget_for(suite, "linf", passes_of).steps == 14


def test_without_a_limit_the_budget_is_the_suites_own(write_suite: WriteSuite) -> None:
    suite = load_suite(write_suite())
    entry = suite.budgets["linf"]
    found = budget_for(suite, "linf", lambda _budget: 1e9)
    assert (found.steps, found.step_size) == (entry.steps, entry.step_size)


def test_a_step_that_costs_more_than_the_limit_is_no_step(write_suite: WriteSuite) -> None:
    suite = load_suite(write_suite(("steps = 4", "steps = 4\npasses = 9")))
    with pytest.raises(NoStep) as caught:
        budget_for(suite, "linf", lambda budget: 10.0 * budget.steps)
    assert (caught.value.passes, caught.value.first) == (9, 10)


def test_no_attack_exceeds_the_passes_and_one_more_step_would(installed: Registry, tmp_path: Path) -> None:
    """As the host counts them, for costs that differ by step and that come once for each run."""
    suite = load_suite(written(tmp_path / "equal.toml"))
    result = run(suite, out=tmp_path, registry=installed, executor="inline")
    uses = resolve_suite(suite, installed).attacks
    counted = {
        attack: sum(
            score.score.value
            for score in result.scores
            if score.metric in ("attack.forwards", "attack.backwards") and score.labels.attack == attack
        )
        for attack in suite.attacks
    }
    steps = {attack: uses[attack, "ResNet-S", "equal"].budget.steps for attack in suite.attacks}
    for attack, passes in counted.items():
        assert passes <= 26
        one_more = sum(uses[attack, "ResNet-S", "equal"].cost.total(steps[attack] + 1))
        assert one_more > 26 or attack == "RAP", attack
    assert steps["MI"] == 13
    assert steps["VMI"] == 3
    assert steps["FIA"] == 9


def test_jobs_carry_the_steps_and_the_limit(installed: Registry, tmp_path: Path) -> None:
    """The address has the limit: an attack that takes more passes than it declares is stopped there."""
    attacks = '"MI" = { recipe = "mi" }'
    limited = resolved(written(tmp_path / "limited.toml", attacks), installed)
    text = (tmp_path / "limited.toml").read_text()
    same = text.replace(", passes = 26", "").replace('"1/255", steps = 16', '"16/255/13", steps = 13')
    (tmp_path / "same.toml").write_text(same)

    def jobs(suite: ResolvedSuite) -> list[AttackJob]:
        plan = make_plan(suite, Store(tmp_path))
        return [job.job for job in plan.jobs if isinstance(job.job, AttackJob)]

    ours, theirs = jobs(limited), jobs(resolved(str(tmp_path / "same.toml"), installed))
    assert {job.budget.steps for job in ours} == {13}
    assert {job.passes for job in ours} == {26}
    assert [replace(job, passes=None).address() for job in ours] == [job.address() for job in theirs]
    assert {job.address() for job in ours}.isdisjoint(job.address() for job in theirs)


def test_every_network_of_an_ensemble_counts(installed: Registry, tmp_path: Path) -> None:
    sources = '["ResNet-S", ["ResNet-S", "VGG"]]'
    uses = resolved(written(tmp_path / "equal.toml", '"MI" = { recipe = "mi" }', sources), installed).attacks
    steps = {source: use.budget.steps for (_, source, _), use in uses.items()}
    assert steps == {"ResNet-S": 13, "ResNet-S+VGG": 6}
    assert all(sum(use.passes) <= 26 for use in uses.values())


def test_a_suite_whose_attack_cannot_take_a_step_says_what_would_do(installed: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolved(written(tmp_path / "equal.toml", '"VMI" = { recipe = "vmi" }'), installed)
    (fault,) = caught.value.faults
    assert fault.key == "budgets.equal.passes"
    assert fault.message == (
        "found 26, but the first step of VMI on ResNet-S takes 42 "
        "(try passes = 42, fewer copies, or budgets.equal.attacks)"
    )


def test_more_passes_never_give_fewer_steps(installed: Registry, tmp_path: Path) -> None:
    steps = [
        resolved(written(tmp_path / "equal.toml", passes=passes), installed)
        .attacks["RAP", "ResNet-S", "equal"]
        .budget.steps
        for passes in (18, 26, 40, 60, 90)
    ]
    assert all(a <= b for a, b in pairwise(steps))
    assert steps[0] < steps[-1]


def test_an_attack_on_features_refuses_an_ensemble_when_it_is_planned(installed: Registry, tmp_path: Path) -> None:
    sources = '["ResNet-S", ["ResNet-S", "VGG"]]'
    attacks = '"FIA" = { recipe = "fia", masks = 4 }'
    with pytest.raises(UsageError) as caught:
        resolved(written(tmp_path / "equal.toml", attacks, sources), installed)
    (fault,) = caught.value.faults
    assert fault.key == "attacks.FIA.layer"
    assert fault.message.startswith("on ResNet-S+VGG: found an ensemble")
    kept = (tmp_path / "equal.toml").read_text().replace("steps = 16", 'steps = 16, sources = ["ResNet-S"]')
    (tmp_path / "equal.toml").write_text(kept)
    uses = resolved(str(tmp_path / "equal.toml"), installed).attacks
    assert set(uses) == {("FIA", "ResNet-S", "equal")}
