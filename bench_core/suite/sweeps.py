"""Expands an attack with `sweep = { option = [values] }` to one attack for each combination of values."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any


def swept_label(label: str, chosen: Mapping[str, Any]) -> str:
    """Return the label of one attack of a sweep, such as `relaxed c=0.1 p=2`."""
    return " ".join([label, *(f"{option}={value}" for option, value in chosen.items())])


def expand_sweeps(suite: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each attack that has a sweep by the attacks of the sweep, and its label wherever attacks are listed.

    The new attacks keep a sweep of one value for each option, which becomes a label of their scores. A malformed sweep
    is kept, so that validation reports it.
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
    listed = [
        label for name in entry["attacks"] for label in (members.get(name, [name]) if isinstance(name, str) else [name])
    ]
    return {**entry, "attacks": listed}
