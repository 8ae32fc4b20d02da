"""What came out of a run, its folder, and the way back from the folder. Plain data: no network, no torch."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .digests import digest
from .errors import Fault, UsageError
from .executors.dispatch import Voids
from .executors.hardware import processor
from .registry import Registry, discover
from .scores.derived import derive
from .scores.summarise import LabelledScore, RowSet, pack_rows, summarise, unpack_rows
from .scores.warnings import Warned, flags, warnings
from .store import write_atomically
from .suite.model import Suite, command
from .suite.outputs import TableTable
from .tables.formats import saved_files
from .tables.pivot import pivot, shown
from .tables.table import Table
from .types import Metric

if TYPE_CHECKING:
    from .planning.planner import Planner, Selection


@dataclass
class Result:
    """What came out of a run: scores with their labels, tables, the reason of every void, and what to be careful of.

    `selected` are the places of the attacked images in the dataset. With `warn` false there are no warnings.
    """

    suite: Suite
    folder: Path
    scores: list[LabelledScore]
    tables: list[Table]
    voids: Voids = field(default_factory=dict)
    rows: list[RowSet] = field(default_factory=list)
    selected: list[int] = field(default_factory=list)
    warn: bool = True
    warned: list[Warned] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not any(score.void for score in self.scores)

    def score(self, metrics: Mapping[str, Metric], selected: Sequence[int], truth: Sequence[int]) -> None:
        """Derive scores and tables from the rows; `selected` and `truth` as `summarise` takes them."""
        suite = self.suite
        self.selected = list(selected)
        self.scores = summarise(self.rows, metrics, suite.images.rule, selected, truth)
        self.scores += derive(self.scores, suite)
        base = Path(suite.file).parent
        self.warned = warnings(self.rows, self.scores, suite.budgets) if self.warn else []
        self.tables = [self.flagged(pivot(self.scores, each, suite.title, base, suite.file), each)
                       for each in suite.tables]  # fmt: skip

    def flagged(self, table: Table, asked: TableTable) -> Table:
        """Put the warnings that concern a table's scores under it."""
        said = flags(shown(self.scores, asked), self.warned)
        return replace(table, notes=(*table.notes, *(each for each in said if each.startswith("W: "))))

    def records(self) -> list[dict[str, Any]]:
        """Give all scores as flat records, ready for a data frame."""
        return [score.record() for score in self.scores]

    def arrays(self, metric: str, **labels: str) -> dict[str, NDArray[Any]]:
        """Give the per-image rows of one metric under some labels, in the order of the images.

        Raises KeyError where the labels fit no rows, or several.
        """
        fitting = [r for r in self.rows if r.metric == metric and all(r.labels.get(k) == v for k, v in labels.items())]
        if len(fitting) != 1:
            raise KeyError(f"{len(fitting)} sets of rows are {metric} of {labels}")
        return fitting[0].arrays


def safe_name(name: str) -> str:
    """Make a name from a file harmless as a folder: letters, digits, dot, dash and underscore, never only dots."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)[:100]
    return plain if plain.strip(".") else f"_{plain}"


def truth(planner: Planner, selection: Selection) -> list[int]:
    assert planner.images is not None
    return [planner.images.labels[i] for i in selection.indices]


def write(result: Result, planner: Planner, selection: Selection) -> None:
    """Write the run's folder; every file is whole or the one before."""
    suite, folder = result.suite, result.folder
    assert planner.images is not None
    facts = {
        "suite": suite.model_dump(mode="json"),
        "images": {"indices": selection.indices, "ids": selection.ids, "digest": selection.digest},
        "dataset": {"count": len(planner.images.ids), "digest": digest(list(planner.images.ids))},
        "truth": truth(planner, selection),
        "models": planner.models,
        "environment": planner.environment
        | {"python": platform.python_version(), "system": platform.system(), "processor": processor(planner.device)},
        "versions": {n: _version(n) for n in ("adversarial-bench", "torch", "torchvision", "numpy", "safetensors")},
        "plugins": sorted({f"{o.origin.plugin} {o.origin.package} {o.origin.version} {o.origin.source}"
                           for o in planner.registry.offers.values()}),
        "host": planner.host,
        "seed": suite.seed,
        "limit": planner.limit,
        "global_seed": sorted({attack for (attack, _, _), use in planner.attacks.items() if use.global_seed}),
        "deviations": {attack: use.deviations for (attack, _, _), use in planner.attacks.items() if use.deviations},
        "voids": sorted(set(result.voids.values())),
        "warnings": [f"{each.kind}: {each}" for each in result.warned],
        "reproduce": reproduce(suite, planner.limit),
    }  # fmt: skip
    write_atomically(folder / "rows.safetensors", pack_rows(result.rows))
    write_atomically(folder / "scores.jsonl", "".join(json.dumps(r) + "\n" for r in result.records()).encode())
    write_tables(result, planner.registry)
    write_atomically(folder / "run.json", (json.dumps(facts, indent=1) + "\n").encode())


def write_tables(result: Result, registry: Registry) -> None:
    for table in result.tables:
        for suffix, text in saved_files(table, registry.manager):
            write_atomically(result.folder / "tables" / f"{safe_name(table.name)}.{suffix}", text.encode())


def reproduce(suite: Suite, limit: int | None) -> str:
    return command("run", suite, *(["--limit", str(limit)] if limit else []))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def load_result(folder: Path, registry: Registry | None = None, warn: bool = True) -> Result:
    """Read a run's folder back and derive scores and tables again; needs no model and no torch.

    Raises UsageError where the folder is no run, or a metric of it is not installed.
    """
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text())
        suite = Suite(**facts["suite"])
        selected, classes = facts["images"]["indices"], facts["truth"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(Fault(str(path), "", f"not the record of a run ({reason}); run the suite first")) from None
    rows = unpack_rows(str(folder / "rows.safetensors"))
    registry = registry or discover()
    metrics: dict[str, Metric] = {}
    for label, entry in suite.metrics.items():
        offer = registry.find("metrics", entry.recipe, str(path), f"metrics.{label}.recipe")
        options, faults = offer.check(entry.options, str(path), f"metrics.{label}")
        if faults:
            raise UsageError(*faults)
        metrics[label] = offer.build(**options)
    result = Result(suite, folder, [], [], {}, rows, warn=warn)
    result.score(metrics, selected, classes)
    return result
