"""Export, then judge: the outcomes are those of the run, image by image and to the bit, for every attack."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from bench_attacks.plugin import RECIPES
from bench_core.registry import Registry, discover
from bench_core.result import Result
from bench_core.testing.transformer import transformer
from bench_core.types import Budget
from tests.attacks.scene import CLASSES, budget, build, network

from .small import L2, LINF, export_small, judge_small, run_small, write_suite

SMALL = {"samples": 3, "copies": 4, "kernel": 5, "grid": 6, "cells": 12}
NORMS = {"linf": LINF, "l2": L2}
OTHERS = sorted(name for name in discover().names("attacks") if name not in RECIPES)


class WithSurrogate:
    surrogate = None


SOURCES = {"A": network(), "T": transformer(1), "S": WithSurrogate()}  # by their labels in the suite


def source_of(name: str) -> str:
    """Return the first source that an attack takes."""
    check = getattr(build(name, budget()), "check_source", lambda _model: None)
    return next(label for label, model in SOURCES.items() if not check(model))


def attacks(names: list[str], registry: Registry) -> str:
    """Return the section `[attacks]` with small options for each attack."""
    lines = ["[attacks]"]
    for name in names:
        recipe = registry.find("attacks", name, "", "").recipe
        fitting = {**(recipe.examples or [{}])[0], **SMALL}
        known = inspect.signature(recipe.build).parameters
        options = {key: value for key, value in fitting.items() if key in known}
        given = "".join(f", {key} = {json.dumps(value)}" for key, value in options.items())
        lines.append(f'"{name}" = {{ recipe = "{name}"{given} }}')
    return "\n".join(lines) + "\n"


def buildable(names: list[str], norm: str, registry: Registry) -> list[str]:
    """Return the attacks that take a norm and the size of the images."""
    found = []
    for name in names:
        limits = Budget(norm, 0.1, 0.03, 3)  # type: ignore[arg-type]
        offer = registry.find("attacks", name, "", "")
        options = (offer.recipe.examples or [{}])[0]
        try:
            attack = build(name, limits) if name in RECIPES else offer.build(limits, **options)
        except ValueError:
            continue
        checks = (("check", (1, 6, 6)), ("check_classes", CLASSES))
        if not any(getattr(attack, check, lambda _given: None)(given) for check, given in checks):
            found.append(name)
    return found


def compare(ours: Result, judged: Result) -> int:
    """Compare the rows of every attack that is not void in the run. Return how many attacks were compared."""
    rows = {
        (row.metric, row.labels.attack, row.labels.target): row.arrays
        for row in judged.rows
        if row.labels.attack and not row.void
    }
    compared = set()
    for row in ours.rows:
        if row.labels.attack is None or row.void or row.metric == "attack":
            continue
        other = rows[row.metric, row.labels.attack, row.labels.target]
        for name, array in row.arrays.items():
            last = array[:, -1] if row.metric == "transfer" else array
            theirs = other[name][:, -1] if row.metric == "transfer" else other[name]
            assert last.dtype == theirs.dtype
            assert np.array_equal(last, theirs), (row.labels, name)
        compared.add(row.labels.attack)
    return len(compared)


def round_trip(names: list[str], norm: str, source: str, registry: Registry, folder: Path) -> int:
    path = write_suite(folder, NORMS[norm] + attacks(names, registry), source)
    ours = run_small(path, registry, folder / "out", warn=False)
    exported = export_small(ours.folder, folder / "images", registry)
    assert len(exported.groups) + len(exported.voids) == len(names)
    assert not exported.notes
    judged = judge_small(path, folder / "images", registry, folder / "out", warn=False)
    return compare(ours, judged)


def test_a_few_attacks(registry: Registry, tmp_path: Path) -> None:
    for norm in NORMS:
        (tmp_path / norm).mkdir()
        assert round_trip(["pgd", "mi", "ir", "svre", "until_success"], norm, "A", registry, tmp_path / norm) == 5


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("source", "least"), [("A", 30), ("T", 2), ("S", 1)])
def test_every_attack_of_bench(source: str, least: int, norm: str, registry: Registry, tmp_path: Path) -> None:
    names = [name for name in buildable(sorted(RECIPES), norm, registry) if source_of(name) == source]
    assert len(names) >= least
    assert round_trip(names, norm, source, registry, tmp_path) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_every_attack_of_other_libraries(norm: str, registry: Registry, tmp_path: Path) -> None:
    names = buildable(OTHERS, norm, registry)
    if not names:
        pytest.skip("no other library is installed")
    assert round_trip(names, norm, "A", registry, tmp_path) > len(names) / 2  # some reject such small images
