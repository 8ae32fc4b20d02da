"""Makes of a suite one that judges images that were made elsewhere, in place of attacking any."""

from __future__ import annotations

import inspect
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import Fault, UsageError
from ..files import safe_name
from ..given.listing import find_list, read_list
from ..registry import Registry
from ..reserved import RECORD
from ..suite.exchange import ELSEWHERE, GivenEntry
from ..suite.faults import faults_of
from ..suite.load import command
from ..suite.model import MetricEntry, Suite
from ..suite.outputs import NO_OUTPUTS, TableEntry
from .load import build_metrics
from .record import read_record

GROUP = ("source", "attack", "budget", "step")  # columns of an exported list whose values distinguish attacks


@dataclass(frozen=True)
class Origin:
    """What the user states about images that were made elsewhere; see `suite.exchange.GivenEntry`."""

    attack: str | None = None
    source: str | None = None
    budget: str | None = None
    array: str | None = None
    project: bool = False


def judged_suite(suite: Suite, root: Path, origin: Origin, registry: Registry) -> Suite:
    """Return a suite that judges images made elsewhere, and attacks none.

    Images, networks, budgets and targets stay those of the suite, so that results are comparable. Metrics that need the
    network that was attacked are left out, and so are the tables, gates and derived scores of these.

    Args:
        suite: The suite.
        root: The folder or the file of the images.
        origin: What is known of them. A list that `bench export` wrote states it itself.
        registry: The installed plugins.

    Raises:
        UsageError: There are no images or they are of an unknown budget, the list cannot be read, or no metric of the
            suite can judge the images.
    """
    if not root.exists():
        raise UsageError(Fault(str(root), "", "no such file or folder"))
    metrics = {label: entry for label, entry in suite.metrics.items() if not _needs_source(suite, label, registry)}
    if not any(_judges(suite, label, registry) for label in metrics):
        message = (
            "none of them judges images without the network that was attacked (try a suite with the metric transfer)"
        )
        raise UsageError(Fault(suite.file, "metrics", message))
    given = dict(_entries(root, origin))
    if len(suite.budgets) > 1 and any(entry.budget is None for entry in given.values()):
        raise UsageError(Fault("--budget", "", f"missing (the suite has {', '.join(suite.budgets)})"))
    metrics = {label: entry.model_copy(update={"only": []}) for label, entry in metrics.items()}
    known = [table for table in _tables(suite) if _known(table.value, metrics)]
    tables = [_without_attacks(table, suite.attack_labels) for table in _of_budgets(known, given, suite)]
    gate = {value: entry for value, entry in suite.gate.items() if _known(value, metrics)}
    kept = {"given": given, "metrics": metrics, "tables": tables, "gate": gate}
    budgets = {label: entry.model_copy(update={"attacks": None}) for label, entry in suite.budgets.items()}
    return suite.model_copy(update={**NO_OUTPUTS, "attacks": {}, **kept, "budgets": budgets})


def _entry(list_of: Path, **values: Any) -> GivenEntry:
    """Return the entry of some rows of a list. Raises UsageError where the list lacks a name."""
    try:
        return GivenEntry(**values)
    except ValidationError as error:
        raise UsageError(*faults_of(error, GivenEntry, str(list_of))) from None


def _entries(root: Path, origin: Origin) -> Iterator[tuple[str, GivenEntry]]:
    """Yield the images of each attack that an exported list names; of any other list or file, all images as one."""
    table = find_list(root) if root.is_dir() else None
    rows = read_list(table) if table else []
    path = str(root.expanduser().absolute())
    if not rows or not {*GROUP, "folder"} <= rows[0].keys():
        name = origin.attack or root.absolute().name or "given"
        yield (
            name[:120],
            GivenEntry(
                root=path, attack=origin.attack, source=origin.source or ELSEWHERE, budget=origin.budget,
                array=origin.array, project=origin.project,
            ),
        )  # fmt: skip
        return
    groups = list(dict.fromkeys(tuple(row[name] for name in GROUP) for row in rows))
    steps = Counter(group[:-1] for group in groups)
    attacks = list(dict.fromkeys(group[GROUP.index("attack")] for group in groups))
    if origin.attack is not None and len(groups) > 1:
        message = f"{table} names its attacks itself, and has images of several: {', '.join(attacks)} (omit the option)"
        raise UsageError(Fault("--attack", "", message))
    for group in groups:
        where = dict(zip(GROUP, group, strict=True))
        attack = where["attack"] if steps[group[:-1]] == 1 else f"{where['attack']} step {where['step']}"
        attack = attack if origin.attack is None else origin.attack
        yield (
            " ".join(group)[:120],
            _entry(
                root, root=path, attack=attack, source=origin.source or where["source"],
                budget=origin.budget or where["budget"], where=where, project=origin.project,
            ),
        )  # fmt: skip


def _parameters(suite: Suite, label: str, registry: Registry) -> Sequence[str]:
    one = suite.model_copy(update={"metrics": {label: suite.metrics[label]}})
    return tuple(inspect.signature(build_metrics(one, registry, suite.file)[label].observe).parameters)


def _needs_source(suite: Suite, label: str, registry: Registry) -> bool:
    return "source" in _parameters(suite, label, registry)


def _judges(suite: Suite, label: str, registry: Registry) -> bool:
    return bool({"adversarial", "step"} & {*_parameters(suite, label, registry)})


def _known(value: str, metrics: dict[str, MetricEntry]) -> bool:
    return value.partition(".")[0] in metrics or value in (f"{RECORD}.linf", f"{RECORD}.l2")


def _tables(suite: Suite) -> Iterator[TableEntry]:
    """Yield the tables, and in place of those of each security curve one of its score.

    A curve joins the budgets of a sweep, and images given for one of them have only one point of it.
    """
    shown = set[str]()
    for table in suite.tables:
        curve = table.value.partition(".")[0]
        if curve not in suite.security_curves:
            yield table
        elif curve not in shown:
            shown.add(curve)
            value = suite.security_curves[curve].value
            columns = table.columns if "eps" in (*table.rows, *table.columns) else [*table.columns, "eps"]
            title = f"{value} of the given images, at their eps"
            plain = {"value": value, "title": title, "format": "percent", "best": None, "columns": columns}
            yield table.model_copy(update=plain)


def _of_budgets(tables: list[TableEntry], given: dict[str, GivenEntry], suite: Suite) -> list[TableEntry]:
    """Return the tables without those of budgets that no given image has, which would be empty; all if none is left."""
    budgets = {entry.budget or next(iter(suite.budgets)) for entry in given.values()}
    asked: dict[str, set[str]] = {
        "budget": budgets,
        "norm": {suite.budgets[label].norm for label in budgets if label in suite.budgets},
    }

    def is_shown(table: TableEntry) -> bool:
        return all(str(table.where[name]) in values for name, values in asked.items() if name in table.where)

    return [table for table in tables if is_shown(table)] or tables


def _without_attacks(table: TableEntry, swept: Sequence[str]) -> TableEntry:
    """Return a table without the comparison with an attack, the choice of one, and the options that attacks sweep."""
    where = {name: value for name, value in table.where.items() if name not in ("attack", *swept)}
    kept = {"rows": [name for name in table.rows if name not in swept] or ["attack"]}
    kept["columns"] = [name for name in table.columns if name not in swept]
    return table.model_copy(update={**kept, "baseline": {}, "where": where, "reference": None, "only": []})


def is_judged(suite: Suite) -> bool:
    """Return whether a suite attacks nothing, and judges images that were made elsewhere."""
    return bool(suite.given) and not suite.attacks


def judged_name(suite: Suite) -> str:
    """Return what distinguishes the folder of a judged suite: the stated attack, or the name of its folder or file."""
    first = next(iter(suite.given.values()))
    return safe_name(Path(first.root).name if first.where or first.attack is None else first.attack)


def check_same_images(folder: Path, suite: Suite) -> None:
    """Raise UsageError if the run's folder has judged images of another place, which this run would replace."""
    try:
        earlier = read_record(folder).suite
    except UsageError:
        return
    if is_judged(suite) and is_judged(earlier) and _places(earlier) != _places(suite):
        other, entry = next(iter(earlier.given.values())).root, next(iter(suite.given.values()))
        hint = "another --out" if entry.where else "--attack with another name, or another --out"
        raise UsageError(Fault(str(folder), "", f"has the judged images of {other}, of the same name (try {hint})"))


def _places(suite: Suite) -> set[tuple[Path, str | None]]:
    return {(Path(entry.root).resolve(), entry.array) for entry in suite.given.values()}


def judge_command(suite: Suite, *options: str) -> str:
    """Return the command line that judges the images of a suite again."""
    first = next(iter(suite.given.values()))
    stated = {"attack": first.attack, "source": first.source, "array": first.array, "budget": first.budget}
    if first.where:  # the list states them, except where an option did; the attacks of several have no option
        listed = {**first.where, "attack": first.attack} if len(suite.given) > 1 else first.where
        stated = {name: value for name, value in stated.items() if value != listed.get(name)}
    known = {name: value for name, value in stated.items() if value not in (None, ELSEWHERE)}
    given = [text for name, value in known.items() for text in (f"--{name}", value)]
    verb, judge, name, *rest = shlex.split(command("judge", suite, *options))
    project = ["--project"] if first.project else []
    return shlex.join([verb, judge, first.root, "--suite", name, *rest, *map(str, given), *project])
