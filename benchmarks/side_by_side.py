"""Contestants take turns in one run; a claim is the median of the ratios of each turn, with their quartiles."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from tabulate import tabulate

from bench_core.executors.hardware import cpu_count, processor

Contestants = Mapping[str, Callable[[], object]]
Clock = Callable[[], float]


def in_turns(
    contestants: Contestants, turns: int, clock: Clock = time.process_time, warm: bool = False
) -> dict[str, list[float]]:
    """Time every contestant once a turn, after a turn to warm up unless they are `warm`; seconds, of processor time
    unless told otherwise."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(int(warm), turns + 1):
        for name, contestant in contestants.items():
            start = clock()
            contestant()
            if turn:
                seconds[name].append(clock() - start)
    return seconds


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Give the first quartile, the median, the third."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def compared(seconds: Mapping[str, Sequence[float]], ours: str, unit: float = 1.0, name: str = "s") -> str:
    """Make a table: each contestant's median time in units of `unit` seconds, and by what ours is faster."""
    rows = []
    for label, times in seconds.items():
        low, middle, high = quartiles([theirs / mine for theirs, mine in zip(times, seconds[ours], strict=True)])
        ratio = "" if label == ours else f"{middle:.2f} [{low:.2f}, {high:.2f}]"
        rows.append([label, f"{statistics.median(times) / unit:.4g}", ratio])
    return tabulate(
        rows, ["", name, f"times as long as {ours}"], disable_numparse=True, colalign=["left", "right", "left"]
    )


def say(title: str, *blocks: str) -> None:
    print(f"\n{title}\n", *blocks, sep="\n", flush=True)


def setting(turns: int, *packages: str) -> str:
    """Say where, with what and how often it was measured."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("torch", "numpy", *packages))
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    where = f"{processor('cpu')}, {cpu_count()} processors, Python {platform.python_version()}, {versions}{load}"
    return f"{turns} turns, medians and quartiles; {where}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
