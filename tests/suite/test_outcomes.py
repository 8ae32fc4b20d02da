"""Sweeps, images that several suites share, worst cases and correlations."""

import numpy as np
import pytest

from bench_core import load_result, load_suite, run
from bench_core.errors import UsageError
from bench_core.planning.selection import select
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.statistics import pearson
from bench_core.suite.sweeps import expand_sweeps

SWEEP = """
[attacks.IR]
recipe = "ir"
grid = 2
cells = 1
samples = 2
sweep = { strength = [0, "1/2", 4] }
[metrics.utility]
recipe = "transfer_utility"
[metrics.interaction]
recipe = "interaction"
grid = 2
[worst_case."any of them"]
value = "transfer.last"
[correlations.seen]
x = "interaction.mean"
y = "utility.utility"
[[tables]]
name = "r"
rows = ["source"]
columns = ["target"]
value = "seen.pearson"
[[tables]]
name = "worst"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.last"
"""


def test_a_sweep_is_an_attack_for_every_combination() -> None:
    sweep = {"recipe": "relaxed", "grid": 2, "sweep": {"c": [0.1, 1], "p": [2, 5]}}
    given = {"attacks": {"A": {"recipe": "pgd"}, "R": sweep}, "budgets": {"b": {"attacks": ["R"], "eps": 1}}}
    attacks = expand_sweeps(given)["attacks"]
    assert list(attacks) == ["A", "R c=0.1 p=2", "R c=0.1 p=5", "R c=1 p=2", "R c=1 p=5"]
    assert attacks["R c=1 p=2"] == {"recipe": "relaxed", "grid": 2, "sweep": {"c": [1], "p": [2]}}
    assert expand_sweeps(given)["budgets"]["b"] == {"attacks": list(attacks)[1:], "eps": 1}


def test_swept_values_are_options_and_labels(registry: Registry, write_suite, tmp_path) -> None:
    suite = load_suite(write_suite(append=SWEEP))
    assert list(suite.attacks) == ["PGD", "IR strength=0", "IR strength=1/2", "IR strength=4"]
    resolved = resolve_suite(suite, registry)
    assert resolved.attacks["IR strength=1/2", "A", "linf"].spec.options["strength"] == 0.5
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    labels = {score.labels.get("strength") for score in result.scores if score.metric == "transfer.last"}
    assert labels == {None, "0", "1/2", "4"}
    plain, zero = (
        result.arrays("transfer", source="A", target="B", attack=a)["fooled"] for a in ("PGD", "IR strength=0")
    )
    assert np.array_equal(plain, zero)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sweep = { strength =",
            "strength = 1\nsweep = { strength =",
            'found "strength" in the sweep, but it',
        ),
        ("sweep = { strength =", "sweep = { source =", 'found "source" in the sweep'),
        ("sweep = { strength =", "sweep = { n =", 'found "n" in the sweep, but scores have a column of that name'),
        ('[0, "1/2", 4]', "[]", "attacks.IR.sweep.strength"),
        ('[0, "1/2", 4]', "[-1]", "attacks.IR strength=-1.strength"),
        ('value = "seen.pearson"', 'value = "seen.r"', "expected one of seen.pearson, seen.slope"),
        ('value = "seen.pearson"', 'value = "sen.pearson"', 'did you mean "seen"'),
        ('x = "interaction.mean"', 'x = "interaction.median"', "interaction.mean"),
        ('"any of them"', "PGD", "is an attack's name as well"),
        ('[worst_case."any of them"]', '[worst_case."any of them"]\nattacks = ["PDG"]', 'did you mean "PGD"'),
        ("[correlations.seen]", "[correlations.transfer]", "is a metric's label as well"),
        ('recipe = "interaction"\ngrid = 2', 'recipe = "interaction"\ngrid = 3', "metrics.interaction.grid: found 3"),
    ],
)
def test_mistakes_are_reported_before_the_run(
    registry: Registry, write_suite, old: str, new: str, message: str
) -> None:
    assert old in SWEEP
    with pytest.raises(UsageError) as caught:
        resolve_suite(load_suite(write_suite(append=SWEEP.replace(old, new))), registry)
    assert message in "\n".join(map(str, caught.value.faults))


def test_the_worst_case_is_taken_per_image(registry: Registry, write_suite, tmp_path) -> None:
    result = run(write_suite(append=SWEEP), out=tmp_path, registry=registry, executor="inline")
    for target in ("A", "B"):
        attacks = list(result.suite.attacks)
        fooled = [result.arrays("transfer", source="A", target=target, attack=a)["fooled"][:, -1] for a in attacks]
        (score,) = [
            row.score
            for row in result.scores
            if row.metric == "transfer.last"
            and (row.labels["source"], row.labels["target"]) == ("A", target)
            and row.labels["attack"] == "any of them"
        ]
        assert score.value == np.any(fooled, axis=0).mean()
        assert score.value >= max(by_attack.mean() for by_attack in fooled)
        assert score.n == 12
    assert load_result(result.folder, registry).records() == result.records()


def test_a_correlation_has_a_point_for_every_attack(registry: Registry, write_suite, tmp_path) -> None:
    result = run(write_suite(append=SWEEP), out=tmp_path, registry=registry, executor="inline")

    def value(metric: str, attack: str, target: str | None) -> float:
        (one,) = [
            row.score.value
            for row in result.scores
            if row.metric == metric
            and (row.labels["source"], row.labels["attack"]) == ("A+B", attack)
            and row.labels.get("target") == target
        ]
        return one

    x = [value("interaction.mean", attack, None) for attack in result.suite.attacks]
    y = [value("utility.utility", attack, "B") for attack in result.suite.attacks]
    table = next(table for table in result.tables if table.name == "r")
    cell = dict(table.rows)["A+B",][1]
    assert (cell.value, cell.low, cell.high) == pytest.approx(pearson(x, y))
    assert cell.n == 4
    assert "N = 4 points" in table.notes


def test_suites_with_other_models_can_select_the_same_images(registry: Registry, write_suite) -> None:
    rule = ('rule = "all"', 'rule = "correct_by_all"')
    both = load_suite(write_suite(rule))
    few = load_suite(write_suite(rule, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'), ('["A", "B"]', '["A"]')))
    named = load_suite(
        write_suite(
            ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'),
            ('["A", "B"]', '["A"]'),
            ('rule = "all"', 'models = ["A", "B"]'),
        )
    )
    assert few.all_models == ["A"]
    assert named.all_models == ["A", "B"]
    planners = [resolve_suite(suite, registry) for suite in (both, few, named)]
    assert planners[0].images is not None
    labels = planners[0].images.labels
    wrong = [(label + 1) % 3 if place < 3 else label for place, label in enumerate(labels)]
    predictions = {"A": list(labels), "B": wrong}
    chosen = [select(resolved, predictions).indices[0] for resolved in planners]
    assert chosen == [3, 0, 3]


BUDGETS = """
[attacks.IR]
recipe = "ir"
grid = 2
cells = 1
samples = 2
[budgets.alone]
norm = "linf"
eps = 0.2
step_size = 0.03
steps = 2
attacks = ["PGD"]
[worst_case."any of the budget"]
value = "transfer.last"
[worst_case.both]
value = "transfer.last"
attacks = ["PGD", "IR"]
"""


def test_a_worst_case_is_over_the_attacks_of_each_budget(registry: Registry, write_suite, tmp_path) -> None:
    suite = write_suite(('rows = ["source", "attack"]', 'rows = ["source", "attack", "budget"]'), append=BUDGETS)
    scores = run(suite, out=tmp_path, registry=registry, executor="inline").scores.select("transfer.last")

    def by_network(attack: str, budget: str) -> dict[tuple[str | None, str | None], float]:
        chosen = scores.select("transfer.last", {"attack": attack, "budget": budget})
        return {(score.labels.source, score.labels.target): score.score.value for score in chosen}

    assert by_network("any of the budget", "linf") == by_network("both", "linf") != {}
    assert by_network("any of the budget", "alone") == by_network("PGD", "alone") != {}
    assert by_network("both", "alone") == {}  # it names an attack that this budget is not used for
