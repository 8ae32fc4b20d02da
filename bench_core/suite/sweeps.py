"""Expands an attack or a budget with `sweep = { key = [values] }` to one for each combination of values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Any


def swept_label(label: str, chosen: Mapping[str, Any]) -> str:
    """Return the label of one attack or budget of a sweep, such as `relaxed c=0.1 p=2`."""
    return label + "".join(f" {option}={value}" for option, value in chosen.items())


def without_eps(label: str) -> str:
    """Return the label of a budget of a sweep without its eps: that of the curve on which it is a point."""
    return re.sub(r" eps=\S+", "", label, count=1)


def expand_sweeps(suite: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each attack and budget that has a sweep by those of the sweep, and attacks wherever they are listed.

    The new entries keep a sweep of one value for each key, which becomes a label of their scores. A malformed sweep
    is kept, so that validation reports it.
    """
    members: dict[str, list[str]] = {}
    result = dict(suite)
    if isinstance(suite.get("attacks"), Mapping):
        result["attacks"] = _expanded(suite["attacks"], members)
    if isinstance(suite.get("budgets"), Mapping):
        budgets = {label: _with_eps_swept(entry) for label, entry in suite["budgets"].items()}
        expanded = _expanded(budgets, {})
        result["budgets"] = {label: _with_values(entry) for label, entry in expanded.items()}
    for table in ("budgets", "worst_case"):
        if isinstance(result.get(table), Mapping):
            result[table] = {name: _with_members(entry, members) for name, entry in result[table].items()}
    return result


def _expanded(entries: Mapping[str, Any], members: dict[str, list[str]]) -> dict[str, Any]:
    """Expand the sweeps of some entries, and add the new labels to `members` by the old ones."""
    expanded: dict[str, Any] = {}
    for label, entry in entries.items():
        sweep = entry.get("sweep") if isinstance(entry, Mapping) else None
        if not (isinstance(sweep, Mapping) and sweep and all(isinstance(v, list) and v for v in sweep.values())):
            expanded[label] = entry
            continue
        for values in product(*sweep.values()):
            chosen = dict(zip(sweep, values, strict=True))
            expanded[swept_label(label, chosen)] = {**entry, "sweep": {k: [v] for k, v in chosen.items()}}
            members.setdefault(label, []).append(swept_label(label, chosen))
    return expanded


def _with_eps_swept(entry: Any) -> Any:
    """Return a budget whose list `eps = [values]` is a sweep of eps."""
    if not (isinstance(entry, Mapping) and isinstance(entry.get("eps"), list)):
        return entry
    sweep = entry.get("sweep", {})
    if not isinstance(sweep, Mapping) or "eps" in sweep:
        return entry
    return {**{key: value for key, value in entry.items() if key != "eps"}, "sweep": {"eps": entry["eps"], **sweep}}


def _with_values(entry: Any) -> Any:
    """Return an expanded budget with the values of its sweep. A key that is also set is kept, and validation fails."""
    sweep = entry.get("sweep") if isinstance(entry, Mapping) else None
    if not isinstance(sweep, Mapping):
        return entry
    return {**{key: values[0] for key, values in sweep.items() if isinstance(values, list) and values}, **entry}


def _with_members(entry: Any, members: Mapping[str, list[str]]) -> Any:
    if not (isinstance(entry, Mapping) and isinstance(entry.get("attacks"), list)):
        return entry
    listed = [
        label for name in entry["attacks"] for label in (members.get(name, [name]) if isinstance(name, str) else [name])
    ]
    return {**entry, "attacks": listed}
