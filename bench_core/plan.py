"""A suite -> jobs of content-addressed cells, with their cost. No torch, no tables.

A *cell* is what one metric says of one micro-batch of images, one source under one attack, and one target. All cells
that share the micro-batch, the source and the attack are one *job*, computed in one pass; a job's specification is JSON
and holds all there is to know, so that any process can compute it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from .errors import Fault, UsageError, stop_at_faults
from .registry import Offer, Registry, folder_digest
from .store import Store
from .suite import RECORD, Suite, members, source_label
from .types import Budget, Cost, Images, Json, ModelRecipe

NEEDS = ("clean", "adversarial", "step", "source", "target", "rng")
NEED_ATTACK = frozenset({"adversarial", "step", "source"})
PREDICTED = "host:prediction"
PREDICTION: Json = {"recipe": PREDICTED, "options": {}, "code": ""}
RECORD_SCORES = ("linf", "l2", "forwards", "backwards", "zero_gradients")
COMPUTING_FILES = ("work", "contracts", "streams", "grid", "logits", "types")


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


@dataclass(frozen=True)
class Cell:
    """One result of a job: its key within the job's store entry, the metric's label, and the target's."""

    key: str
    metric: str
    target: str | None


@dataclass(frozen=True)
class Job:
    """Cells that one pass computes. `labels` say where its rows belong; they are no part of the address."""

    address: str
    spec: Json
    cells: tuple[Cell, ...]
    labels: Mapping[str, str]
    images: int
    cost: tuple[float, float] = (0, 0)  # forwards and backwards through the source, of all its images
    evaluations: float = 0  # forwards through targets


@dataclass(frozen=True)
class MetricUse:
    """A metric of the suite with its options filled in, and its needs."""

    label: str
    spec: Json
    needs: frozenset[str]
    over: str
    metric: Any


@dataclass(frozen=True)
class AttackUse:
    """An attack on one source within one budget."""

    spec: Json
    cost: Cost
    check: Any


@dataclass(frozen=True)
class Selection:
    """The frozen list of images that the attacks get: places in the dataset, digests, and the digest of the list."""

    indices: tuple[int, ...]
    ids: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        return digest(list(self.ids))


def chunks(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def environment(device: str, threads: int) -> dict[str, Any]:
    """Give what results may depend on beside the code: library, kind of machine, device, number type, threads."""
    return {
        "torch": importlib.metadata.version("torch"),
        "machine": platform.machine(),
        "device": device,
        "dtype": "float32",
        "threads": threads,
    }


def host_digest() -> str:
    here = Path(__file__).parent
    return digest([folder_digest(here / f"{name}.py") for name in COMPUTING_FILES])


@dataclass
class Planner:
    """Turns a suite into jobs. Making one checks every name and option; raises UsageError with all faults."""

    suite: Suite
    registry: Registry
    device: str = "cpu"
    threads: int = 1
    limit: int | None = None
    metrics: list[MetricUse] = field(default_factory=list)
    models: dict[str, Json] = field(default_factory=dict)
    attacks: dict[tuple[str, str, str], AttackUse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults: list[Fault] = []
        self.environment = environment(self.device, self.threads)
        self.host = host_digest()
        self.images: Images | None = None
        self._collect(faults, self._use_metrics, self._use_models, self._use_attacks, self._use_data)
        stop_at_faults(faults)

    # What the suite names, found and checked

    def _collect(self, faults: list[Fault], *steps: Any) -> None:
        for step in steps:
            try:
                faults.extend(step())
            except UsageError as error:
                faults.extend(error.faults)

    def _find(self, kind: str, name: str, key: str, faults: list[Fault]) -> Offer | None:
        try:
            return self.registry.find(kind, name, self.suite.file, key)
        except UsageError as error:
            faults.extend(error.faults)
            return None

    def _use_metrics(self) -> list[Fault]:
        faults: list[Fault] = []
        for label, entry in self.suite.metrics.items():
            key = f"metrics.{label}"
            offer = self._find("metrics", entry.recipe, f"{key}.recipe", faults)
            if offer is None:
                continue
            options, wrong = offer.check(entry.options, self.suite.file, key)
            faults += wrong
            if wrong:
                continue
            metric = offer.build(**options)
            needs = frozenset(inspect.signature(metric.observe).parameters)
            if needs - set(NEEDS):
                faults.append(
                    Fault(self.suite.file, key, f"the metric asks for {sorted(needs - set(NEEDS))}; known: {NEEDS}")
                )
            spec = {"recipe": entry.recipe, "options": options, "code": offer.origin.source}
            self.metrics.append(MetricUse(label, spec, needs, entry.over, metric))
        return faults

    def _use_models(self) -> list[Fault]:
        faults: list[Fault] = []
        for label in self.suite.all_models:
            entry, key = self.suite.models[label], f"models.{label}"
            offer = self._find("models", entry.recipe, f"{key}.recipe", faults)
            if offer is None:
                continue
            options, wrong = offer.check(entry.options, self.suite.file, key)
            faults += wrong
            if wrong:
                continue
            try:
                identity = dict(cast(ModelRecipe, offer.recipe).identity(**options))
            except UsageError as error:
                faults += [Fault(self.suite.file, f"{key}.{f.key}".rstrip("."), f.message) for f in error.faults]
                continue
            self.models[label] = {
                "recipe": entry.recipe,
                "options": options,
                "identity": identity,
                "code": offer.origin.source,
            }
        return faults

    def _use_attacks(self) -> list[Fault]:
        faults: list[Fault] = []
        for label, entry in self.suite.attacks.items():
            key = f"attacks.{label}"
            names = [entry.recipe] if entry.recipe is not None else entry.parts or []
            try:
                offer = (
                    self.registry.find("attacks", names[0], self.suite.file, f"{key}.recipe")
                    if entry.recipe is not None
                    else self.registry.compose(names, self.suite.file, f"{key}.parts")
                )
            except UsageError as error:
                faults += error.faults
                continue
            for source, budget in self.combinations(label):
                given = entry.options | entry.by_source.get(source, {})
                options, wrong = offer.check(given, self.suite.file, key)
                faults += wrong
                if wrong:
                    continue
                try:
                    attack = offer.build(self.budget(budget), **options)
                except ValueError as error:
                    option, _, text = str(error).partition(": ")
                    faults.append(Fault(self.suite.file, f"{key}.{option}" if text else key, text or option))
                    continue
                spec = {
                    "names": names,
                    "joined": entry.parts is not None,
                    "options": options,
                    "code": offer.origin.source,
                }
                cost = getattr(attack, "cost", Cost())
                self.attacks[label, source, budget] = AttackUse(spec, cost, getattr(attack, "check", None))
        return list(dict.fromkeys(faults))

    def _use_data(self) -> list[Fault]:
        faults: list[Fault] = []
        offer = self._find("datasets", self.suite.data.kind, "data.kind", faults)
        if offer is None:
            return faults
        options, wrong = offer.check(self.suite.data.options, self.suite.file, "data")
        if wrong:
            return wrong
        self.data = {"recipe": self.suite.data.kind, "options": options}
        try:
            images: Images = offer.build(**options)
        except UsageError as error:
            self.data_missing = "; ".join(fault.message for fault in error.faults)
            return []
        self.images = images
        checks = [(f"attacks.{label}", use.check) for (label, _, _), use in self.attacks.items()]
        checks += [(f"metrics.{use.label}", getattr(use.metric, "check", None)) for use in self.metrics]
        for key, check in checks:
            reason = check(images.shape) if check else None
            if reason:
                option, _, text = reason.partition(": ")
                faults.append(Fault(self.suite.file, f"{key}.{option}", text))
        return faults

    # What there is to compute

    def budget(self, label: str) -> Budget:
        table, suite = self.suite.budgets[label], self.suite
        return Budget(
            table.norm, table.eps, table.step_size, table.steps, suite.random_start, suite.loss, suite.targeted
        )

    def combinations(self, attack: str) -> Iterator[tuple[str, str]]:
        """Give the sources and budgets under which an attack runs."""
        for source in map(source_label, self.suite.sources):
            for budget, table in self.suite.budgets.items():
                if source in (table.sources or [source]) and attack in (table.attacks or [attack]):
                    yield source, budget

    def relation(self, source: str | list[str], target: str) -> str:
        """Say whether a target is, by its weights, the source or one of its members."""
        own = [self.models[name]["identity"] for name in members(source)]
        return "white-box" if self.models[target]["identity"] in own else "black-box"

    def _spec(self, indices: Sequence[int], used: Sequence[str], **more: Any) -> dict[str, Any]:
        assert self.images is not None
        return {
            "data": self.data,
            "indices": list(indices),
            "ids": [self.images.ids[i] for i in indices],
            "models": {name: self.models[name] for name in used},
            "seed": self.suite.seed,
            "environment": self.environment,
            "host": self.host,
            **more,
        }

    def _model_identity(self, label: str) -> Json:
        return {key: self.models[label][key] for key in ("recipe", "options", "identity", "code")}

    def _cell(self, metric: Json, label: str, target: str | None) -> tuple[Cell, Json]:
        identity = {"metric": metric, "target": self._model_identity(target) if target else None}
        cell = Cell(digest(identity)[:32], label, target)
        return cell, {"key": cell.key, "metric": metric, "target": target}

    def _clean_job(self, indices: Sequence[int], target: str, observed: Sequence[tuple[str, Json]]) -> Job:
        cells, observations = zip(*(self._cell(spec, label, target) for label, spec in observed), strict=True)
        spec = self._spec(indices, [target], attack=None, observe=list(observations))
        address = digest({key: spec[key] for key in ("ids", "seed", "environment", "host")})
        labels = {"target": target}
        return Job(address, spec, cells, labels, len(indices), evaluations=len(indices))

    def clean_jobs(self) -> list[Job]:
        """Give the jobs over the whole dataset: what every model predicts, and the metrics that need no attack."""
        if self.images is None:
            return []
        whole = list(range(len(self.images.ids)))
        plain = [use for use in self.metrics if not use.needs & NEED_ATTACK and use.over == "all"]
        observed = [(PREDICTED, PREDICTION), *((use.label, use.spec) for use in plain)]
        size = max(self.suite.compute.micro_batch, 250)
        return [self._clean_job(part, name, observed) for name in self.suite.all_models for part in chunks(whole, size)]

    def selected_jobs(self, selection: Selection) -> list[Job]:
        """Give the jobs over the selected images: the attacks with all that is observed on them."""
        jobs = []
        plain = [use for use in self.metrics if not use.needs & NEED_ATTACK and use.over == "selected"]
        parts = list(chunks(selection.indices, self.suite.compute.micro_batch))
        if plain:
            observed = [(use.label, use.spec) for use in plain]
            jobs += [self._clean_job(part, name, observed) for name in self.suite.targets for part in parts]
        sources = {source_label(source): source for source in self.suite.sources}
        for (attack, source, budget), use in self.attacks.items():
            for part in parts:
                jobs.append(self._attack_job(part, attack, sources[source], budget, use))
        return jobs

    def _attack_job(
        self, part: Sequence[int], attack: str, source: str | list[str], budget: str, use: AttackUse
    ) -> Job:
        limits = self.budget(budget)
        cells, observations, evaluations = [Cell(RECORD, RECORD, None)], [], 0
        for metric in self.metrics:
            if not metric.needs & NEED_ATTACK:
                continue
            for target in self.suite.targets if "target" in metric.needs else [None]:
                cell, observation = self._cell(metric.spec, metric.label, target)
                cells.append(cell)
                observations.append(observation)
                evaluations += limits.steps if "step" in metric.needs else 1
        spec = self._spec(
            part,
            list(dict.fromkeys([*members(source), *(o["target"] for o in observations if o["target"])])),
            attack=use.spec,
            budget=asdict(limits),
            source={"members": members(source), "combine": self.suite.ensemble},
            quantise=self.suite.quantise,
            observe=observations,
        )
        names = ("ids", "seed", "environment", "host", "attack", "budget", "quantise")
        combine = self.suite.ensemble if len(members(source)) > 1 else None
        who = {"members": [self._model_identity(name) for name in members(source)], "combine": combine}
        address = digest({**{name: spec[name] for name in names}, "source": who})
        forwards, backwards = use.cost.total(limits.steps)
        labels = {"source": source_label(source), "attack": attack, "budget": budget}
        cost = (forwards * len(part), backwards * len(part))
        return Job(address, spec, tuple(cells), labels, len(part), cost, float(evaluations * len(part)))

    def expected_selection(self) -> Selection:
        """Give a stand-in of the right size, for the cost of a plan whose selection is not known yet."""
        assert self.images is not None
        indices = tuple(range(min(self.count, len(self.images.ids))))
        return Selection(indices, tuple(self.images.ids[i] for i in indices))

    @property
    def count(self) -> int:
        return self.suite.images.count if self.limit is None else min(self.limit, self.suite.images.count)

    def select(self, predictions: Mapping[str, Sequence[int]]) -> Selection:
        """Choose the images by the suite's rule, the first `count` in the dataset's order.

        Raises UsageError where the list is not the one whose digest the suite pins, or is empty.
        """
        assert self.images is not None
        judges = self.suite.images.models or self.suite.all_models
        if self.suite.images.rule != "correct_by_all":
            judges = []
        right = [
            index
            for index, label in enumerate(self.images.labels)
            if all(predictions[judge][index] == label for judge in judges)
        ]
        indices = tuple(right[: self.count])
        selection = Selection(indices, tuple(self.images.ids[i] for i in indices))
        pinned = self.suite.images.digest
        where = self.suite.file
        if not indices:
            raise UsageError(Fault(where, "images.rule", "no image is classified correctly by every model"))
        if pinned and self.limit is None and selection.digest != pinned:
            raise UsageError(Fault(where, "images.digest", f"found {pinned}, but the list has {selection.digest}"))
        return selection


@dataclass(frozen=True)
class Plan:
    """All jobs of a run, and which of their cells the store has."""

    planner: Planner
    selection: Selection | None
    jobs: list[Job]
    stored: Mapping[str, set[str]]

    def missing(self, job: Job) -> list[Cell]:
        return [cell for cell in job.cells if cell.key not in self.stored.get(job.address, ())]

    @property
    def cells(self) -> int:
        return sum(len(job.cells) for job in self.jobs)

    @property
    def cells_stored(self) -> int:
        return self.cells - sum(len(self.missing(job)) for job in self.jobs)


def stored_cells(jobs: Sequence[Job], store: Store) -> dict[str, set[str]]:
    return {address: store.cells(address) for address in dict.fromkeys(job.address for job in jobs)}
