"""The lowest known accuracy: every attack of every run counts, in a ball that is no larger, image by image."""

from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.cli import app, guard
from bench_core.reports.best_known import Attacked, attacked_in, best_known
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


def made(run: Attacked) -> list[Attacked]:
    return [run]


def test_in_each_ball_the_most_robust_network_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    robust = {("weak", 0.1): 2, ("strong", 0.1): 9, ("middle", 0.1): 5, ("weak", 0.05): 6, ("strong", 0.05): 9}
    runs = [
        Attacked(label, label, "PGD", norm, eps, {str(index): index >= count for index in range(10)})
        for norm in ("l0", "l2", "linf")
        for (label, eps), count in robust.items()
    ]
    monkeypatch.setattr(f"{best_known.__module__}.attacked_in", made)
    sheet = best_known(runs)  # type: ignore[arg-type]
    order = [(0.05, "strong"), (0.05, "weak"), (0.1, "strong"), (0.1, "middle"), (0.1, "weak")]
    assert [row[:3] for row in sheet.rows] == [(label, n, eps) for n in ("linf", "l2", "l0") for eps, label in order]
    assert any("the network with the highest best known accuracy is first" in note for note in sheet.notes)


@pytest.mark.parametrize("option", ["--score=robust.accuracy", "--by=target", "--best=min", "--where=norm=l2"])
def test_options_of_another_ranking_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["leaderboard", "--best-known", option]
    assert guard(lambda: app(call, prog_name="bench", standalone_mode=False), False) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--best-known: has no {option.partition('=')[0]}:" in line
