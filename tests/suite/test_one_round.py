"""All mistakes in a suite are reported in one error, without faults that only follow from another mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.planning.recipe_faults import recipe_faults
from bench_core.registry import Registry, discover
from bench_core.run_suite import resolve_suite
from bench_core.suite.merge import read_override

WriteSuite = Callable[..., str]


def faults_of_loading(path: str, overrides: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    with pytest.raises(UsageError) as caught:
        load_suite(path, overrides=overrides)
    return {(fault.key, fault.message) for fault in caught.value.faults}


def faults_of_resolving(path: str, registry: Registry) -> list[tuple[str, str]]:
    with pytest.raises(UsageError) as caught:
        resolve_suite(load_suite(path), registry)
    return sorted((fault.key, fault.message) for fault in caught.value.faults)


def test_faults_of_schema_profiles_and_names_are_reported_together(write_suite: WriteSuite) -> None:
    path = write_suite(
        ("[compute]", "[compte]"),
        ("count = 12", "cuont = 12"),
        ('targets = ["A", "B"]', 'targets = ["A", "C"]'),
        ("[[tables]]", "[on.other]\nseed = 1\n[[tables]]"),
    )
    assert faults_of_loading(path) == {
        ("compte", 'unknown key (did you mean "compute"?)'),
        ("images.cuont", 'unknown key (did you mean "count"?)'),
        ("images.count", "missing"),
        ("targets", 'unknown name "C" (known: A, B)'),
        ("on.other", "unknown profile (known: toy)"),
    }


@pytest.mark.parametrize(
    ("section", "misspelt"),
    [
        ("[models]", "[modles]"),
        ("[attacks]", "[atacks]"),
        ("[budgets.linf]", "[budgtes.linf]\nattacks = ['PGD']"),
        ("[metrics]", "[metrisc]"),
    ],
)
def test_labels_in_a_misspelt_section_are_not_reported_as_unknown(
    write_suite: WriteSuite, section: str, misspelt: str
) -> None:
    key, meant = misspelt.split("]", maxsplit=1)[0].strip("[").split(".")[0], section.strip("[]").split(".")[0]
    faults = faults_of_loading(write_suite((section, misspelt), ("steps = 4", 'steps = 4\nsources = ["A"]')))
    required = {(meant, "missing")} if meant in ("models", "metrics") else set()
    assert faults == {(key, f'unknown key (did you mean "{meant}"?)'), *required}


def test_a_section_for_a_misspelt_profile_is_validated_as_if_it_were_spelt_right(write_suite: WriteSuite) -> None:
    path = write_suite(("[on.toy]", "[on.toys]"), ('targets = ["A", "B"]', 'targets = ["A", "A"]\nsede = 1'))
    assert faults_of_loading(path) == {
        ("on.toys", 'unknown profile (did you mean "toy"?)'),
        ("sede", 'unknown key (did you mean "seed"?)'),
        ("targets", '"A" is listed twice'),
    }


def test_a_value_of_a_wrong_type_hides_no_unknown_name(write_suite: WriteSuite) -> None:
    path = write_suite(
        ('sources = ["A", ["A", "B"]]', 'sources = ["A", 3, ["A", "X"]]'),
        ("eps = 0.1", 'eps = 0.1\nsources = ["Y"]\nattacks = "PGD"'),
        ('clean = { recipe = "clean_accuracy" }', 'clean = { recipe = "clean_accuracy", models = ["Z"] }\nbare = 1'),
        ('targets = ["A", "B"]', "targets = 7"),
    )
    faults = faults_of_loading(path)
    assert {key for key, _ in faults} == {
        "sources", "sources.1", "budgets.linf.sources", "budgets.linf.attacks", "metrics.clean.models", "metrics.bare",
        "targets",
    }  # fmt: skip
    assert {message.partition(" (")[0] for _, message in faults if message.startswith("unknown")} == {
        'unknown name "X"',
        'unknown name "Y"',
        'unknown name "Z"',
    }


def test_reserved_keys_and_unreadable_overrides_are_all_reported(write_suite: WriteSuite) -> None:
    path = write_suite(('title = "toy"', 'titel = "toy"\nname = "toy"'))
    assert faults_of_loading(path) == {
        ("name", "not a key of a suite"),
        ("titel", 'unknown key (did you mean "title"?)'),
        ("title", "missing"),
    }
    assert {key for key, _ in faults_of_loading(path, ("seed", "a b", "loss=margin"))} == {"seed", "a b"}


@pytest.mark.parametrize("quote", "'\"")
def test_a_quoted_part_of_an_overridden_key_may_contain_an_equals_sign(quote: str, write_suite: WriteSuite) -> None:
    path = write_suite(('"PGD" =', '"PGD steps=2" ='))
    override = f"attacks.{quote}PGD steps=2{quote}.loss=margin=2"
    suite = load_suite(path, overrides=[override])
    assert suite.attacks["PGD steps=2"].options == {"loss": "margin=2"}
    assert read_override("a.b=c=d") == {"a": {"b": "c=d"}}, "what is not quoted ends at the first"


def test_wrong_options_and_unknown_scores_are_reported_together(registry: Registry, write_suite: WriteSuite) -> None:
    path = write_suite(
        ('transfer = { recipe = "transfer" }', 'transfer = { recipe = "transfer", stpes = [1] }'),
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd", momemtum = 1 }'),
        append="""
[[tables]]
name = "clean"
rows = ["step"]
columns = ["target"]
value = "clean.acuracy"
[[tables]]
name = "steps"
rows = ["step"]
columns = ["target"]
value = "transfer.at_stpe"
[gate]
"transfer.succes" = { better = "higher" }
""",
    )
    faults = faults_of_resolving(path, registry)
    assert [key for key, _ in faults] == [
        "attacks.PGD.momemtum",
        "metrics.transfer.stpes",
        "tables.1",
        "tables.1.value",
    ]
    assert faults[2][1].startswith('unknown dimension "step"')
    assert faults[3][1].startswith('found "clean.acuracy"')


def test_a_metric_with_a_wrong_option_is_no_unknown_name(registry: Registry, write_suite: WriteSuite) -> None:
    path = write_suite(
        ('transfer = { recipe = "transfer" }', 'transfer = { recipe = "transfer", stpes = [1] }'),
        append='[correlations.transfer]\nx = "transfer.success"\ny = "claen.accuracy"\n',
    )
    faults = faults_of_resolving(path, registry)
    assert [key for key, _ in faults] == ["correlations.transfer", "correlations.transfer.y", "metrics.transfer.stpes"]
    assert faults[1][1] == 'unknown name "claen" (did you mean "clean"?)'


def test_a_misspelt_score_adds_no_fault_about_its_dimensions(registry: Registry, write_suite: WriteSuite) -> None:
    path = write_suite(
        ('rows = ["source", "attack"]', 'rows = ["source", "step", "sauce"]'), ("transfer.success", "tranfer.at_step")
    )
    faults = faults_of_resolving(path, registry)
    assert [key for key, _ in faults] == ["tables.0", "tables.0.value"]
    assert faults[0][1].startswith('unknown dimension "sauce"')


@pytest.mark.parametrize("profiles", ['"toy"', "[]", "[1]", "3"])
def test_a_wrong_list_of_profiles_hides_no_other_fault(write_suite: WriteSuite, profiles: str) -> None:
    path = write_suite(('profiles = ["toy"]', f"profiles = {profiles}"), ("count = 12", "cuont = 12"))
    faults = faults_of_loading(path)
    assert {key for key, _ in faults} == {"profiles", "images.cuont", "images.count"}


@pytest.mark.parametrize("section", ["budgets.linf", "worst_case.all"])
def test_a_list_among_the_names_of_attacks_is_a_fault(write_suite: WriteSuite, section: str) -> None:
    given = "attacks = [[1]]"
    if section == "budgets.linf":
        path = write_suite(("steps = 4", f"steps = 4\n{given}"))
    else:
        path = write_suite(append=f'[{section}]\nvalue = "transfer.success"\n{given}\n')
    assert {key for key, _ in faults_of_loading(path)} == {f"{section}.attacks.0"}


def test_a_file_may_begin_with_a_byte_order_mark(write_suite: WriteSuite) -> None:
    path = write_suite()
    Path(path).write_text(Path(path).read_text(), encoding="utf-8-sig")
    assert load_suite(path).title == "toy"


def test_faults_of_schema_recipes_options_and_scores_are_reported_together(
    registry: Registry, write_suite: WriteSuite
) -> None:
    path = write_suite(
        ("count = 12", "cuont = 12"),
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pdg" }\n"MI 2" = { recipe = "mi", decya = 1 }'),
        ("transfer.success", "transfer.succes"),
        append='[[plots]]\nname = "p"\nkind = "heatmpa"\nvalue = "transfer.success"\n',
    )
    overrides = ["metrics.other.recipe=tranfser", "budgets.linf.stpes=1"]
    with pytest.raises(UsageError) as caught:
        load_suite(path, overrides=overrides, more_faults=recipe_faults(registry))
    found = {fault.key: fault for fault in caught.value.faults}
    assert {
        "images.cuont", "attacks.PGD.recipe", "attacks.MI 2.decya", "tables.0.value", "metrics.other.recipe",
        "budgets.linf.stpes", "plots.0.kind",
    } <= set(found)  # fmt: skip
    assert found["plots.0.kind"].message == 'found "heatmpa" (did you mean "heatmap"?)'
    assert found["metrics.other.recipe"].where == "--set metrics.other.recipe=tranfser"
    assert found["attacks.PGD.recipe"].where == path


def test_what_a_misspelt_or_wrong_section_offers_adds_no_faults(registry: Registry, write_suite: WriteSuite) -> None:
    for wrong, keys in (
        ("[metrisc]", {"metrics", "metrisc"}),
        ("[metrics]\nclean = 3", {"metrics.clean"}),
    ):
        with pytest.raises(UsageError) as caught:
            load_suite(
                write_suite(('clean = { recipe = "clean_accuracy" }\n', ""), ("[metrics]", wrong)),
                more_faults=recipe_faults(registry),
            )
        assert {fault.key for fault in caught.value.faults} == keys


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("robust_optimality", "optimality.best_l2.store=3"),
        ("robust_curves", "security_curves.curve.value=3"),
        ("robust_accuracy", "worst_case.worst=3"),
    ],
)
def test_what_a_wrong_section_of_derived_scores_offers_adds_no_faults(name: str, override: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(name, overrides=[override], more_faults=recipe_faults(discover()))
    # A library that some of the suite's attacks wrap may not be installed, which is a fault of its own.
    added = [fault.key for fault in caught.value.faults if "is not installed" not in fault.message]
    assert added == [override.partition("=")[0]]


@pytest.mark.parametrize(
    ("replaced", "key"),
    [
        ('baseline = { attack = "PDG" }', "tables.0.baseline.attack"),
        ('where = { attack = "PDG" }', "tables.0.where.attack"),
        ('where = { budget = "lnf" }', "tables.0.where.budget"),
    ],
)
def test_outputs_may_only_choose_attacks_and_budgets_of_the_suite(
    write_suite: WriteSuite, replaced: str, key: str
) -> None:
    faults = faults_of_loading(write_suite(("[[tables]]", f"[[tables]]\n{replaced}")))
    assert [found for found, _ in faults] == [key]
