"""The lowest known accuracy: every attack of every run counts, in a ball that is no larger, image by image."""

from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.reports.best_known import attacked_in, best_known
from bench_core.reports.leaderboard import read_contributions

ATTACKS = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }')
NAMES = ("network", "norm", "eps", "single", "attack", "known", "low", "high", "n", "attacks")


@pytest.fixture
def contributions(write_suite, registry, tmp_path: Path):
    def make(eps: float, name: str, *changes: tuple[str, str]):
        suite = load_suite(write_suite(("eps = 0.1", f"eps = {eps}"), *changes, name=name))
        folder = run(suite, out=tmp_path / name, executor="inline", registry=registry).folder
        return read_contributions([f"{name}={folder}"], registry)[0]

    return make


def by_ball(sheet) -> dict[tuple[str, float], dict]:
    return {(row[0], row[2]): dict(zip(NAMES, row, strict=True)) for row in sheet.rows}


def test_it_is_the_worst_case_over_attacks_and_smaller_balls(contributions) -> None:
    small, large = contributions(0.05, "small"), contributions(0.1, "large", ATTACKS)
    found = by_ball(best_known([small, large]))
    every = [each for one in (small, large) for each in attacked_in(one)]
    assert len({each.eps for each in every}) == 2
    for (label, eps), row in found.items():
        within = [each for each in every if each.label == label and each.eps <= eps]
        robust = [not any(each.fooled[image] for each in within) for image in within[0].fooled]
        assert row["known"] == pytest.approx(np.mean(robust))
        assert row["known"] <= row["single"] == min(np.mean([not it for it in each.fooled.values()]) for each in within)
        assert row["low"] <= row["known"] <= row["high"]
    # the larger ball says nothing about the smaller
    alone = by_ball(best_known([small]))
    assert all(alone[key] == found[key] for key in alone)


def test_another_run_never_raises_it(contributions) -> None:
    first, second = contributions(0.1, "first"), contributions(0.1, "second", ATTACKS)
    before, after = by_ball(best_known([first])), by_ball(best_known([first, second]))
    assert before.keys() == after.keys()
    assert all(after[key]["known"] <= before[key]["known"] for key in before)
    assert all(after[key]["attacks"] == 2 for key in after)
