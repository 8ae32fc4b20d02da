"""The order of a leaderboard on the site: by rank, within a tie by value, void entries last."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench_core.reports.ranking import ranks
from bench_core.reports.site.boards import _rank
from bench_core.reports.site.summary import ScopedEntry, pack_values

N = 400
FIRST = np.repeat([1.0, 0.0], [260, 140])
SECOND = np.roll(FIRST, 20).copy()
SECOND[20] = 0  # one image less, on partly other images: a tie with another value
WORST = np.repeat([1.0, 0.0], [40, 360])


def entry(attack: str, values: np.ndarray) -> ScopedEntry:
    value = float(values.mean()) if len(values) else None
    return ScopedEntry(
        source="", target="", attack=attack, budget="linf", pairs=1, forwards=10.0, backwards=10.0, flags=(),
        value=value, low=value, high=value, values=pack_values(values) if len(values) else "",
    )  # fmt: skip


@pytest.mark.parametrize("highest", [True, False])
def test_rows_are_from_the_best_to_the_worst(highest: bool) -> None:
    run: Any = SimpleNamespace(summary=SimpleNamespace(attacks={}), place="a", found=SimpleNamespace(when="today"))
    given = {"void": np.empty(0), "worst": WORST, "second": SECOND, "first": FIRST}
    rows = _rank([(run, entry(name, values)) for name, values in given.items()], highest)
    best_first = ["first", "second", "worst"] if highest else ["worst", "second", "first"]
    assert [row.attack for row in rows] == [*best_first, "void"]
    assert [row.rank for row in rows] == ([1, 1, 3, None] if highest else [1, 2, 2, None])
    assert [row.tied for row in rows] == ([True, True, False, False] if highest else [False, True, True, False])
    entries = [entry(name, given[name]).entry("a") for name in best_first]
    assert [row.rank for row in rows[:-1]] == ranks(entries, highest)
