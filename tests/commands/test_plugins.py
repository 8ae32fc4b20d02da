"""`bench plugins`: the listing agrees with the registry, and each entry can be shown in full."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace

import pytest

from bench_attacks.compose import options_of
from bench_attacks.plugin import RECIPES
from bench_core.cli import app, guard
from bench_core.commands.plugins import OWN, documentation, list_kind, select
from bench_core.errors import UsageError
from bench_core.registry import KINDS, Registry, Unavailable
from bench_core.testing import offers


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = guard(lambda: app(["plugins", *arguments], prog_name="bench", standalone_mode=False), False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


def listed(text: str) -> set[str]:
    """Return the first word of each entry, without the colon of a folded library."""
    lines = text.splitlines()
    return {line.split()[0].rstrip(":") for line in lines if line.startswith("  ") and not line.startswith("   ")}


def libraries(names: Iterable[str]) -> set[str]:
    """Return the names, of libraries' entries those of the libraries. A single entry is not folded."""
    return {name.partition(":")[0] for name in names}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_lists_every_entry_once_and_folds_libraries(kind: str, bench, installed: Registry) -> None:
    code, text, _ = bench(kind)
    assert code == 0
    assert libraries(listed(text)) == libraries(installed.names(kind))
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("unavailable: "))


def test_without_arguments_all_kinds_are_listed(bench, installed: Registry) -> None:
    text = bench()[1]
    assert [line[:-1] for line in text.splitlines() if line[:-1] in KINDS] == list(KINDS)
    assert libraries(listed(text)) == libraries(name for _, name in installed.offers)


def test_a_folded_library_is_listed_when_asked(bench, installed: Registry) -> None:
    names = {name for name in installed.names("attacks") if name.startswith("torchattacks:")}
    if not names:
        pytest.skip("torchattacks is not installed")
    assert f"  torchattacks: {len(names)} attacks" in bench("attacks")[1]
    assert listed(bench("attacks", "torchattacks")[1]) == names


def test_an_entry_in_full_has_options_package_and_digest(bench, installed: Registry) -> None:
    offer = installed.offers["attacks", "ir"]
    text = bench("attacks", "ir")[1]
    assert text.startswith("ir (attack)\n")
    for option in offer.options:
        assert f"  {option.name:22}{option.type} = {json.dumps(option.default)}" in text
    assert f"package: adversarial-bench {offer.origin.version}, plugin attacks" in text
    assert offer.code in text


def test_an_attack_in_full_has_its_equation_and_what_differs_from_other_code(bench) -> None:
    code, text, _ = bench("attacks", "linbp")
    assert code == 0
    assert "`g + norm_2(h) / norm_2(l) * l`" in text
    assert "TransferAttack raises" in text
    assert "attack: The attack." not in text
    _, text, _ = bench("attacks", "pna_patchout")
    assert "patchout: Compute each step's gradient" in text
    assert "mi: Accumulate" in text


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_option_of_an_attack_is_described(name: str) -> None:
    text = "\n".join(documentation(RECIPES[name]))
    options = [option.name for part in RECIPES[name].parts for option in options_of(part)]
    assert not [option for option in options if not re.search(rf"^ +{option}: |`{option}`", text, re.MULTILINE)]


def test_a_search_looks_at_names_summaries_and_options(bench, installed: Registry) -> None:
    found = json.loads(bench("--search", "DECAY", "--json")[1])["offers"]
    expected = {
        (kind, name)
        for (kind, name), offer in installed.offers.items()
        if "decay" in " ".join([name, offer.recipe.summary, *(f"{o.name} {o.type}" for o in offer.options)]).lower()
    }
    assert {(entry["kind"], entry["name"]) for entry in found} == expected >= {("attacks", "mi")}
    assert listed(bench("attacks", "--search", "decay")[1]) == {name for kind, name in expected if kind == "attacks"}


def test_other_plugins_are_listed_after_built_in_entries_with_their_package(registry: Registry) -> None:
    lines = "\n".join(list_kind("attacks", select(registry, "attacks", None, None), fold=True))
    built_in, _, others = lines.partition("  bad_")
    assert listed(built_in) == {n.partition(":")[0] for n in registry.names("attacks") if not n.startswith("bad_")}
    assert others.count("[tests 1]") == sum(name.startswith("bad_") for name in registry.names("attacks"))


def test_json_has_every_entry(bench, installed: Registry) -> None:
    records = json.loads(bench("--json", "--block", "metrics")[1])
    assert {(r["kind"], r["name"]) for r in records["offers"]} == {k for k in installed.offers if k[0] != "metrics"}
    assert {"plugin": "metrics", "package": "adversarial-bench", "reason": "blocked"} in records["unavailable"]
    assert "unavailable: metrics (adversarial-bench): blocked" in bench("--block", "metrics")[1].splitlines()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("attack",), 'unknown kind "attack" (did you mean "attacks"?)'),
        (("mi",), "(did you mean: bench plugins attacks mi)"),
        (("attacks", "pdg"), 'attacks: unknown name "pdg" (did you mean "pgd"?)'),
        (("--search", "nothing like it"), '--search: nothing matches "nothing like it"'),
    ],
)
def test_a_mistake_is_one_line(bench, arguments: tuple[str, ...], expected: str) -> None:
    code, out, errors = bench(*arguments)
    assert (code, out, len(errors)) == (2, "", 1)
    assert expected in errors[0]


@pytest.mark.parametrize("name", ["lib", "lib:attack"])
def test_what_an_unavailable_plugin_would_offer_is_told_its_reason(name: str, installed: Registry) -> None:
    registry = replace(installed, unavailable=[Unavailable("lib", OWN, "ImportError: LIB is not set (try LIB=DIR)")])
    for look in (lambda: select(registry, "attacks", name, None), lambda: offers(registry, name)):
        with pytest.raises(UsageError, match=r"^plugins: lib: unavailable: ImportError: LIB is not set"):
            look()
