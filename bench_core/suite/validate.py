"""Checks the names that a suite uses: the suite must define them, or one of its metrics offer them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import Fault, did_you_mean, nearest
from ..reserved import CORRELATION_SCORES, CURVE_SCORES, NOT_GATED, OPTIMALITY_SCORES, RECORD, RECORD_SCORES
from ..types import Metric
from .decide import decide_faults
from .model import COMMON_DIMENSIONS, ENSEMBLE_MARK, Suite, source_label
from .plot_entries import DistancesPlotEntry, HistogramPlotEntry, MapsPlotEntry, ParetoPlotEntry, ScatterPlotEntry


def name_faults(tables: Mapping[str, Any]) -> list[Fault]:
    """Find labels that a suite uses but does not define.

    Args:
        tables: The merged tables of a suite before validation, so that a mistake in one section does not hide one in
            another. Values of a wrong type and sections with a misspelt name are skipped: they are reported elsewhere,
            and what they define is unknown.

    Returns:
        Faults without a file.
    """
    misspelt = {nearest(key, Suite.model_fields) for key in tables if key not in Suite.model_fields}
    names = _Names(tables, misspelt)
    faults = [
        Fault("", key, f'unknown name "{name}" {did_you_mean(name, known)}')
        for key, name, known in names.uses()
        if known is not None and name not in known
    ]
    for section in ("budgets", "sources"):
        if tables.get("attacks") and not tables.get(section) and section not in misspelt:
            faults.append(Fault("", "attacks", f"given, but no {section}"))
    attacks = names.defined("attacks") or ()
    faults += [
        Fault("", f"worst_case.{label}", "is an attack's name as well")
        for label in names.entries("worst_case")
        if label in attacks
    ]
    for key, labels in (("sources", list(map(source_label, names.sources))), ("targets", names.targets)):
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        faults += [Fault("", key, f'"{label}" is listed twice') for label in repeated]
    return faults


class _Names:
    """The labels in the merged tables of a suite, which may have faults."""

    def __init__(self, tables: Mapping[str, Any], misspelt: Collection[str | None]) -> None:
        self.tables, self.misspelt = tables, misspelt
        listed = tables.get("sources")
        self.sources = [
            source if isinstance(source, str) else _strings(source)
            for source in (listed if isinstance(listed, list) else [])
            if isinstance(source, str) or _strings(source)
        ]
        self.targets = _strings(tables.get("targets"))
        images = tables.get("images")
        self.image_models = _strings(images.get("models")) if isinstance(images, Mapping) else []

    def entries(self, section: str) -> dict[str, Mapping[str, Any]]:
        """Return the tables in a section by their labels."""
        tables = self.tables.get(section)
        items = tables.items() if isinstance(tables, Mapping) else ()
        return {label: table for label, table in items if isinstance(table, Mapping)}

    def defined(self, section: str) -> Collection[str] | None:
        """Return the labels that a section defines; None if they are unknown."""
        table = self.tables.get(section, {})
        return table.keys() if isinstance(table, Mapping) and section not in self.misspelt else None

    def uses(self) -> Iterator[tuple[str, str, Collection[str] | None]]:
        """Yield every use of a label: its key, the label, and the labels that are defined there (None if unknown)."""
        models, attacks = self.defined("models"), self.defined("attacks")
        members = [name for source in self.sources for name in ([source] if isinstance(source, str) else source)]
        yield from (("sources", name, models) for name in members)
        yield from (("targets", name, models) for name in self.targets)
        yield from (("images.models", name, models) for name in self.image_models)
        used_models = (
            None
            if {"sources", "targets", "images"} & {*self.misspelt}  # a misspelt section may name other models
            else {*members, *self.targets, *self.image_models}
        )
        for label, metric in self.entries("metrics").items():
            yield from ((f"metrics.{label}.models", name, used_models) for name in _strings(metric.get("models")))
        # compared with all models, not with the sources: an override that removes a source must not cause a fault
        for label, budget in self.entries("budgets").items():
            for source in _strings(budget.get("sources")):
                yield from ((f"budgets.{label}.sources", name, models) for name in _members(source, models))
            yield from ((f"budgets.{label}.attacks", name, attacks) for name in _strings(budget.get("attacks")))
        for label, attack in self.entries("attacks").items():
            for source in attack["by_source"] if isinstance(attack.get("by_source"), Mapping) else ():
                yield from ((f"attacks.{label}.by_source", name, models) for name in _members(source, models))
        for label, given in self.entries("given").items():
            if isinstance(given.get("budget"), str):
                yield f"given.{label}.budget", given["budget"], self.defined("budgets")
        for label, worst in self.entries("worst_case").items():
            yield from ((f"worst_case.{label}.attacks", name, attacks) for name in _strings(worst.get("attacks")))
        yield from self._chosen(attacks)

    def _chosen(self, attacks: Collection[str] | None) -> Iterator[tuple[str, str, Collection[str] | None]]:
        """Yield the uses of attacks and budgets to choose scores: the keys `baseline` and `where` of outputs."""
        worst = self.defined("worst_case")
        theirs = {str(table.get("attack") or label) for label, table in self.entries("given").items()}
        rows = None if attacks is None or worst is None else {*attacks, *worst, *theirs}
        defined = {"attack": rows, "budget": self.defined("budgets")}
        places = {f"correlations.{label}": table for label, table in self.entries("correlations").items()}
        for section in ("tables", "plots"):
            listed = self.tables.get(section)
            tables = listed if isinstance(listed, list) else []
            places |= {f"{section}.{index}": table for index, table in enumerate(tables) if isinstance(table, Mapping)}
        for key, table in places.items():
            for choice in ("baseline", "where"):
                chosen = table.get(choice)
                if not isinstance(chosen, Mapping):
                    continue
                for name, known in defined.items():
                    if isinstance(chosen.get(name), str):
                        yield f"{key}.{choice}.{name}", chosen[name], known


def _members(source: str, models: Collection[str] | None) -> list[str]:
    """Return the models whose labels the label of a source joins. A label may contain the mark that joins them.

    If there are no such models, it is split at every mark.
    """
    for model in models or ():
        if source == model:
            return [model]
        if source.startswith(model + ENSEMBLE_MARK):
            rest = _members(source[len(model) + 1 :], models)
            if models is not None and set(rest) <= set(models):
                return [model, *rest]
    return source.split(ENSEMBLE_MARK)


def _strings(value: Any) -> list[str]:
    """Return the strings in a list; an empty list for any other value."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class Outputs(NamedTuple):
    """What a metric or a correlation offers."""

    names: Sequence[str]  # of its scores or its rows
    dimensions: Sequence[str] = ()  # that it adds to its scores


Offered = Mapping[str, Outputs | None]  # by label; None if unknown, because the metric could not be built


def output_faults(suite: Suite, metrics: Mapping[str, Metric]) -> list[Fault]:
    """Find scores, rows and dimensions that a suite's tables, plots and derived scores use but no metric offers.

    Args:
        suite: The suite.
        metrics: The metrics by label. What a missing metric offers is unknown and not checked.
    """
    return [Fault(suite.file, key, message) for key, message in _output_faults(suite, metrics)]


def _output_faults(suite: Suite, metrics: Mapping[str, Metric]) -> Iterator[tuple[str, str]]:
    scores: dict[str, Outputs | None] = {label: _outputs(metrics.get(label), "scores") for label in suite.metrics}
    rows: dict[str, Outputs | None] = {label: _outputs(metrics.get(label), "rows") for label in suite.metrics}
    scores[RECORD] = rows[RECORD] = Outputs(RECORD_SCORES)
    correlations = {label: None if label in scores else Outputs(CORRELATION_SCORES) for label in suite.correlations}
    curves = {label: None if label in scores else Outputs(CURVE_SCORES) for label in suite.security_curves}
    optimal = {label: None if label in scores else Outputs(OPTIMALITY_SCORES) for label in suite.optimality}
    all_scores = scores | correlations | curves | optimal
    for label, worst in suite.worst_case.items():
        yield from _unknown_output(f"worst_case.{label}.value", worst.value, scores)
    for label, pair in suite.correlations.items():
        if label in scores:
            yield f"correlations.{label}", "is a metric's label as well"
        for axis, value in (("x", pair.x), ("y", pair.y)):
            yield from _unknown_output(f"correlations.{label}.{axis}", value, scores)
            yield from _unknown_dimensions(f"correlations.{label}", pair.where, suite, value, scores)
    for label, curve in suite.security_curves.items():
        if label in scores or label in correlations:
            yield f"security_curves.{label}", "is the label of a metric or a correlation as well"
        if "eps" not in suite.swept_by_budgets:
            yield f"security_curves.{label}", 'no budget sweeps eps (try eps = ["2/255", "4/255", "8/255"] in a budget)'
        yield from _unknown_output(f"security_curves.{label}.value", curve.value, scores)
    for label, entry in suite.optimality.items():
        if label in scores or label in correlations or label in curves:
            yield f"optimality.{label}", "is the label of a metric, a correlation or a curve as well"
        yield from _unknown_output(f"optimality.{label}.value", entry.value, rows)
        if entry.store and suite.targeted:
            yield f"optimality.{label}.store", "attacks of other runs may aim at other classes (try targeted = false)"
    for index, table in enumerate(suite.tables):
        key = f"tables.{index}"
        yield from _unknown_output(f"{key}.value", table.value, all_scores)
        dimensions = (*table.rows, *table.columns, *table.where, *table.baseline)
        yield from _unknown_dimensions(key, dimensions, suite, table.value, all_scores)
        if table.reference and not (Path(suite.file).parent / table.reference.file).is_file():
            yield f"{key}.reference.file", f"no such file: {table.reference.file}"
    for value in suite.gate:
        yield from _unknown_output(f"gate.{value}", value, scores | curves | optimal)
        label, _, name = value.partition(".")
        if label in {**suite.security_curves, **suite.optimality} and name in NOT_GATED:
            hint = f"(try {label}.{NOT_GATED[name]})"
            yield f"gate.{value}", f"has no value for each image, by which the gate compares two runs {hint}"
    if suite.decide is not None:
        yield from decide_faults(suite.decide, suite.tables)
    yield from _plot_faults(suite, scores, rows, all_scores)


def _plot_faults(suite: Suite, scores: Offered, rows: Offered, all_scores: Offered) -> Iterator[tuple[str, str]]:
    names = [plot.name for plot in suite.plots]
    for index, plot in enumerate(suite.plots):
        key = f"plots.{index}"
        if plot.name in names[:index]:
            yield f"{key}.name", f'another plot is named "{plot.name}"'
        if isinstance(plot, ScatterPlotEntry | DistancesPlotEntry):
            scatter = isinstance(plot, ScatterPlotEntry)
            what, labels = ("correlation", suite.correlations) if scatter else ("optimality", suite.optimality)
            if plot.value not in labels:
                yield f"{key}.value", f'no {what} "{plot.value}" {did_you_mean(plot.value, labels)}'
        else:
            of_rows = isinstance(plot, HistogramPlotEntry | MapsPlotEntry)
            yield from _unknown_output(f"{key}.value", plot.value, rows if of_rows else all_scores)
        if isinstance(plot, ParetoPlotEntry) and plot.cost is not None:
            yield from _unknown_output(f"{key}.cost", plot.cost, scores)
        yield from _unknown_dimensions(key, plot.dimensions, suite, plot.value, all_scores)


def _outputs(metric: Metric | None, names: str) -> Outputs | None:
    if metric is None:
        return None
    return Outputs(tuple(getattr(metric, names, ())), tuple(getattr(metric, "labels", ())))


def _unknown_output(key: str, value: str, offered: Offered) -> Iterator[tuple[str, str]]:
    label, _, name = value.partition(".")
    if label not in offered:
        yield key, f'unknown name "{label}" {did_you_mean(label, offered)}'
    elif (outputs := offered[label]) is not None and outputs.names and name not in outputs.names:
        known = ", ".join(f"{label}.{known}" for known in outputs.names)
        yield key, f'found "{value}", expected one of {known}'


def _unknown_dimensions(
    key: str, dimensions: Sequence[str] | Mapping[str, Any], suite: Suite, value: str, offered: Offered
) -> Iterator[tuple[str, str]]:
    """Yield a fault for each dimension that scores of `value` lack; if `value` is misspelt, that all scores lack."""
    label = value.partition(".")[0]
    sources = [offered[label]] if label in offered else list(offered.values())
    known = {*COMMON_DIMENSIONS, *suite.attack_labels, *suite.swept_by_budgets}
    for outputs in sources:
        if outputs is None:
            return
        known |= {*outputs.dimensions}
    for name in dict.fromkeys(dimensions):
        if name not in known:
            yield key, f'unknown dimension "{name}" (known: {", ".join(sorted(known))})'
