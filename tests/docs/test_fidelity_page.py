"""The column "ours" of docs/fidelity.md against the suites, with the default options of their recipes."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench_core import load_suite
from bench_core.registry import Registry
from bench_core.suite.fields import number
from bench_core.suite.find import own_suites
from bench_core.suite.model import Suite

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"
PROFILES = {"robustness_pointcloud": "modelnet", "robust_accuracy": "cifar10"}
NEEDED = {"imagenet": "timm", "cifar10": "robustbench"}
OF_NO_PAPER = {
    "transfer_hybrid", "transfer_catalogue", "transfer_attention", "transfer_ensembles", "transfer_targeted",
    "robust_curves", "robust_queries", "robust_optimality",
}  # fmt: skip
HEADER = ["key", "the paper", "the authors' code", "ours", "effect"]


def rows(section: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in a section, after the header and the line below it."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == HEADER
    yield from cells[2:]


def sections() -> dict[str, str]:
    parts = re.split(r"^## (?=\w+$)", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def code(cell: str) -> str:
    found = re.fullmatch(r"`([^`]+)`", cell)
    assert found, cell
    return found.group(1)


def setting(suite: Suite, key: str, registry: Registry) -> Any:
    """Return a suite's value of a dotted key; an option that it does not set has the default of its recipe."""
    section, _, rest = key.partition(".")
    if section not in ("attacks", "metrics", "models"):
        value: Any = suite.model_dump()
        for part in key.split("."):
            value = value[part]
        return value
    label, _, option = rest.rpartition(".")
    entry = getattr(suite, section)[label]
    offer = registry.find(section, entry.recipe, "", key)
    options, faults = offer.check(entry.options, "", key)
    assert not faults
    return options[option]


def test_every_suite_has_a_section() -> None:
    assert set(sections()) == set(own_suites()) - OF_NO_PAPER


@pytest.mark.parametrize("name", sections())
def test_ours_is_what_the_suite_has(name: str, installed: Registry) -> None:
    profile = PROFILES.get(name, "imagenet")
    needed = {NEEDED.get(profile), "autoattack" if name == "robust_accuracy" else None} - {None}
    if not needed <= {*installed.names("models"), *installed.names("attacks")}:
        pytest.skip("installed without the extras")
    suite = load_suite(name, profile)
    found = list(rows(sections()[name]))
    assert found
    for cell, _, _, ours, effect in found:
        key = code(cell)
        assert effect, key
        stated = tomllib.loads(f"value = {code(ours)}")["value"]
        expected = number(stated) if key.startswith("budgets.") else stated
        actual = setting(suite, key, installed)
        assert (list(actual) if isinstance(actual, tuple) else actual) == expected, (name, key)


def test_a_comment_that_names_the_utility_of_another_suite_is_right(installed: Registry) -> None:
    """Several suites compare their goal with that of robustness_orders."""
    theirs = setting(load_suite("robustness_orders", "embedded"), "attacks.PGD.utility", installed)
    for path in own_suites().values():
        text = re.sub(r"\n# ", " ", path.read_text())
        for stated in re.findall(r"a utility of (\d+) logits, as in robustness_orders", text):
            assert float(stated) == theirs, path
        assert not re.search(r"attack of robustness_orders with a utility", text), path
