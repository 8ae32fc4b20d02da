"""Finds the mistakes in the lists of values that attacks and budgets sweep, before the lists are expanded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, get_args

from pydantic import ValidationError

from ..errors import Fault
from ..types import Norm
from .budget import BudgetEntry
from .faults import faults_of, shortened
from .fields import number

SOUND = {"eps": 0, "step_size": 0, "steps": 1}  # for the checks of another key, and in place of a list without values


def without_sweep_faults(tables: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Find faulty and repeated values in sweeps.

    Args:
        tables: The merged tables of a suite before its sweeps are expanded. Anything of a wrong form is kept, since it
            is reported elsewhere.

    Returns:
        The tables without these values, so that each is reported once and not again in each budget that it makes, and
        the faults, without a file.
    """
    result, faults = dict(tables), list[Fault]()
    for section in ("attacks", "budgets"):
        if isinstance(tables.get(section), Mapping):
            of_budgets = section == "budgets"
            result[section] = {
                label: _sound_entry(f"{section}.{label}", entry, of_budgets, faults)
                for label, entry in tables[section].items()
            }
    return result, faults


def _sound_entry(key: str, entry: Any, is_budget: bool, faults: list[Fault]) -> Any:
    """Return an attack or a budget without the faulty values of its sweep, and add their faults."""
    if not isinstance(entry, Mapping):
        return entry
    sound = dict(entry)
    if is_budget and isinstance(entry.get("eps"), list):
        if "eps" in _table(entry.get("sweep")):
            faults.append(Fault("", f"{key}.eps", "found eps and also a sweep of it, expected one of the two"))
            del sound["eps"]
            return _sound_entry(key, sound, is_budget, faults)
        sound["eps"] = _sound_values(f"{key}.eps", "eps", entry["eps"], entry, faults)
    if _table(entry.get("sweep")):
        sound["sweep"] = {
            name: _sound_values(f"{key}.sweep.{name}", name, values, entry if is_budget else None, faults)
            for name, values in entry["sweep"].items()
        }
    return sound


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sound_values(key: str, name: str, values: Any, budget: Mapping[str, Any] | None, faults: list[Fault]) -> Any:
    """Return the values of a swept key without those that are faulty, and add their faults."""
    if not isinstance(values, list) or (budget is not None and name not in SOUND):
        return values
    found = list(_value_faults(key, name, values, budget))
    faults += [fault for _, fault in found]
    sound = [value for index, value in enumerate(values) if index not in {faulty for faulty, _ in found}]
    return sound or ([SOUND[name]] if budget is not None else values)


def _value_faults(
    key: str, name: str, values: list[Any], budget: Mapping[str, Any] | None
) -> Iterator[tuple[int, Fault]]:
    """Yield the index and the fault of each faulty value, -1 as the index where no value is at fault."""
    faulty = set[int]()
    for index, value in enumerate(values):
        message = _message(name, value, budget) if budget is not None else ""
        if message:
            faulty.add(index)
            yield index, Fault("", f"{key}.{index}", message)
    sound = [index for index in range(len(values)) if index not in faulty]
    for first, second in combinations(sound, 2):
        if second not in faulty and _equal(values[first], values[second]):
            faulty.add(second)
            both = f"{shortened(values[first])} and {shortened(values[second])}"
            yield second, Fault("", key, f"found {both}, the same value twice")
    if budget is not None and not values:
        yield -1, Fault("", key, "found [], expected at least one value")
    zero = budget is not None and name == "eps" and values and not faulty
    if zero and not any(number(value) for value in values):
        hint = '(try ["2/255", "4/255", "8/255"])'
        yield -1, Fault("", key, f"found {shortened(values)}, expected at least one eps above 0 {hint}")


def _message(name: str, value: Any, budget: Mapping[str, Any]) -> str:
    """Return what is wrong with a value of a budget's sweep; "" if nothing is."""
    norm = budget.get("norm") if budget.get("norm") in get_args(Norm) else "l2"  # which has no largest eps
    try:
        BudgetEntry.model_validate({"norm": norm, **SOUND, name: value})
    except ValidationError as error:
        return faults_of(error, BudgetEntry, "")[0].message
    return ""


def _equal(first: Any, second: Any) -> bool:
    """Return whether two values have the same label or are the same number, but for its last digits."""
    if str(first) == str(second):
        return True
    try:
        return math.isclose(number(first), number(second), rel_tol=1e-9)
    except (ValueError, TypeError):  # no numbers
        return False
