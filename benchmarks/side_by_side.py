"""Paired timing: contestants take turns, and the result is the median and quartiles of the ratios within a turn."""

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
    """Time every contestant once per turn.

    Args:
        contestants: Functions without arguments, by label.
        turns: The number of timed turns.
        clock: Returns seconds; processor time by default.
        warm: Whether the contestants are warm already; otherwise a first turn is not counted.

    Returns:
        The seconds of each turn, by label.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(int(warm), turns + 1):
        for name, contestant in contestants.items():
            start = clock()
            contestant()
            if turn:
                seconds[name].append(clock() - start)
    return seconds


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the first quartile, the median and the third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def compared(seconds: Mapping[str, Sequence[float]], ours: str, unit: float = 1.0, name: str = "s") -> str:
    """Return a text table of median times and of their ratios to ours.

    Args:
        seconds: The seconds of each turn, by label.
        ours: The label whose time is the denominator of the ratios.
        unit: The number of seconds in one unit of the printed time.
        name: The name of that unit.
    """
    rows = []
    for label, times in seconds.items():
        low, middle, high = quartiles([theirs / mine for theirs, mine in zip(times, seconds[ours], strict=True)])
        ratio = "" if label == ours else f"{middle:.2f} [{low:.2f}, {high:.2f}]"
        rows.append([label, f"{statistics.median(times) / unit:.4g}", ratio])
    return tabulate(
        rows, ["", name, f"times as long as {ours}"], disable_numparse=True, colalign=["left", "right", "left"]
    )


def report(title: str, *blocks: str) -> None:
    print(f"\n{title}\n", *blocks, sep="\n", flush=True)


def setting(turns: int, *packages: str) -> str:
    """Return a line with the machine, the versions and the number of turns."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("torch", "numpy", *packages))
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    count = cpu_count()
    processors = f"{count} processor{'s' if count != 1 else ''}"
    where = f"{processor('cpu')}, {processors}, Python {platform.python_version()}, {versions}{load}"
    return f"{turns} turns, medians and quartiles; {where}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
