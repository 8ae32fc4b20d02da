"""One attack entry with `sweep = { option = [values] }` -> an entry for every combination, labelled by its values."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any


def swept_label(label: str, chosen: Mapping[str, Any]) -> str:
    """Name one of a sweep's attacks: `relaxed c=0.1 p=2`."""
    return " ".join([label, *(f"{option}={value}" for option, value in chosen.items())])


def expand_sweeps(suite: Mapping[str, Any]) -> dict[str, Any]:
    """Replace every well-formed sweep of a suite's raw table, and its label wherever attacks are listed.

    A malformed one stays, for the schema to complain about. What is left of a sweep is the value of each option, so
    that scores can be told apart by it.
    """
    attacks = suite.get("attacks")
    if not isinstance(attacks, Mapping):
        return dict(suite)
    expanded: dict[str, Any] = {}
    members: dict[str, list[str]] = {}
    for label, entry in attacks.items():
        sweep = entry.get("sweep") if isinstance(entry, Mapping) else None
        if not (isinstance(sweep, Mapping) and sweep and all(isinstance(v, list) and v for v in sweep.values())):
            expanded[label] = entry
            continue
        for values in product(*sweep.values()):
            chosen = dict(zip(sweep, values, strict=True))
            expanded[swept_label(label, chosen)] = {**entry, "sweep": {k: [v] for k, v in chosen.items()}}
            members.setdefault(label, []).append(swept_label(label, chosen))
    result = {**suite, "attacks": expanded}
    for table in ("budgets", "worst_case"):
        if isinstance(suite.get(table), Mapping):
            result[table] = {name: _with_members(entry, members) for name, entry in suite[table].items()}
    return result


def _with_members(entry: Any, members: Mapping[str, list[str]]) -> Any:
    if not (isinstance(entry, Mapping) and isinstance(entry.get("attacks"), list)):
        return entry
    listed = [each for name in entry["attacks"] for each in members.get(name, [name])]
    return {**entry, "attacks": listed}
