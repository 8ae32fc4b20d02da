"""Mistakes about recipes, options and scores in a suite that has other mistakes already. No torch.

`resolve` reports them for a suite that could be loaded. These functions report them together with the faults of the
file's schema, so that a user sees all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..errors import Fault, UsageError, nearest
from ..registry import Registry
from ..suite.budget import BudgetEntry
from ..suite.model import AttackEntry, DataEntry, MetricEntry, Suite
from ..suite.validate import output_faults
from ..types import Json, Metric
from .lookup import find_with_options, planned_options

Entry = TypeVar("Entry", bound=BaseModel)
# sections that decide which scores and labels there are
WITH_SCORES = ("metrics", "attacks", "correlations", "worst_case", "security_curves", "optimality")


def recipe_faults(registry: Registry) -> Callable[[Mapping[str, Any]], list[Fault]]:
    """Return a function that finds faults in the merged tables of a suite; it skips entries of a wrong form."""

    def find(tables: Mapping[str, Any]) -> list[Fault]:
        faults = list(_attack_faults(tables, registry))
        metrics = _metrics(tables, registry, faults)
        for _, data in _entries({"data": {"data": tables.get("data")}}, "data", DataEntry):
            find_with_options(registry, "datasets", data.kind, data.options, "", "data", faults, under="kind")
        sound = _sound_sections(tables)
        misspelt = {nearest(key, Suite.model_fields) for key in tables if key not in Suite.model_fields}
        known = all(section in sound or section not in tables for section in WITH_SCORES)
        if "metrics" in sound and known and not misspelt & {*WITH_SCORES}:
            suite = Suite.model_construct(**{"file": str(tables.get("file", "")), **sound})
            faults += output_faults(suite, metrics)
        return faults

    return find


def _attack_faults(tables: Mapping[str, Any], registry: Registry) -> Iterator[Fault]:
    for label, attack in _entries(tables, "attacks", AttackEntry):
        key = f"attacks.{label}"
        try:
            if attack.recipe is not None:
                offer = registry.find("attacks", attack.recipe, "", f"{key}.recipe")
            else:
                offer = registry.compose(attack.parts or [], "", f"{key}.parts")
        except UsageError as error:
            yield from error.faults
            continue
        for given in attack.by_source.values() or [{}]:
            yield from planned_options(offer, attack.options | given, "", key)[1]


def _metrics(tables: Mapping[str, Any], registry: Registry, faults: list[Fault]) -> dict[str, Metric]:
    """Build the metrics that have no faults; add those of the others to `faults`."""
    metrics: dict[str, Metric] = {}
    for label, metric in _entries(tables, "metrics", MetricEntry):
        known = find_with_options(registry, "metrics", metric.recipe, metric.options, "", f"metrics.{label}", faults)
        if known is not None:
            offer, options = known
            metrics[label] = offer.build(**options)
    return metrics


def _entries(tables: Mapping[str, Any], section: str, table: type[Entry]) -> Iterator[tuple[str, Entry]]:
    """Yield the entries of a section that have the right form."""
    entries = tables.get(section)
    for label, entry in entries.items() if isinstance(entries, Mapping) else ():
        try:
            yield label, table.model_validate(entry)
        except ValidationError:
            continue


def _sound_sections(tables: Json) -> Json:
    """Return the sections of a suite that have the right form, validated."""
    sound: dict[str, Any] = {}
    for name, field in Suite.model_fields.items():
        try:
            if name in tables:
                annotation: Any = field.annotation
                sound[name] = TypeAdapter(annotation).validate_python(tables[name])
        except ValidationError:
            continue
    if "budgets" not in sound:  # which keys they sweep decides which labels scores have
        expanded = tables.get("budgets")
        budgets = expanded.items() if isinstance(expanded, Mapping) else ()
        swept = {label: entry.get("sweep") for label, entry in budgets if isinstance(entry, Mapping)}
        sound["budgets"] = {
            label: BudgetEntry.model_construct(sweep=sweep) for label, sweep in swept.items() if isinstance(sweep, dict)
        }
    return sound
