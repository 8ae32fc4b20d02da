"""A suite -> jobs of content-addressed cells, with their cost. No torch, no tables.

A *cell* is what one metric says of one micro-batch of images, one source under one attack, and one target. All cells
that share the micro-batch, the source and the attack are one *job*, computed in one pass; a job's specification is JSON
and holds all there is to know, so that any process can compute it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ..digests import digest
from ..errors import Fault, UsageError
from ..store import Store
from ..suite.model import RECORD, members, source_label
from ..types import Json
from .resolve import AttackUse, MetricUse, Named

NEED_ATTACK = frozenset({"adversarial", "step", "source"})
PREDICTED = "host:prediction"
PREDICTION: Json = {"recipe": PREDICTED, "options": {}, "code": ""}
SANITY = "host:sanity"  # what the host looks at of every network, in its first clean images
EXAMINATION: Json = {"recipe": SANITY, "options": {}, "code": ""}
RECORD_SCORES = ("linf", "l2", "forwards", "backwards", "zero_gradients", "reached", "utility")


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
    evaluations: float = 0  # forwards of its metrics
    asks_source: bool = False  # the attack wants to see the source network before it begins


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


def _each_once(observations: Sequence[Json]) -> list[Json]:
    """Leave out what is observed already: two names of one network, or of one metric, share their cells."""
    return list({each["key"]: each for each in observations}.values())


class Planner(Named):
    """Turns a suite into jobs."""

    def relation(self, source: str | list[str], target: str) -> str:
        """Say whether a target is, by its weights, the source or one of its members."""
        own = [self.models[name]["identity"] for name in members(source)]
        return "white-box" if self.models[target]["identity"] in own else "black-box"

    def _spec(self, indices: Sequence[int], models: Mapping[str, Json], **more: Any) -> dict[str, Any]:
        assert self.images is not None
        aims = getattr(self.images, "targets", None)
        return {
            "data": self.data,
            "indices": list(indices),
            "ids": [self.images.ids[i] for i in indices],
            "labels": [self.images.labels[i] for i in indices],
            "targets": None if aims is None else [aims[i] for i in indices],
            "models": models,
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

    def _clean_jobs(self, parts: Sequence[Sequence[int]], target: str, uses: Sequence[MetricUse]) -> Iterator[Job]:
        cells, observations = zip(*(self._cell(use.spec, use.label, target) for use in uses), strict=True)
        models, observe = {target: self.models[target]}, _each_once(observations)
        forwards = 1 + sum(use.forwards - 1 for use in uses)  # they share the pass of the images themselves
        for part in parts:
            spec = self._spec(part, models, attack=None, observe=observe)
            address = digest({key: spec[key] for key in ("ids", "labels", "seed", "environment", "host")})
            yield Job(address, spec, cells, {"target": target}, len(part), evaluations=forwards * len(part))

    def clean_jobs(self) -> list[Job]:
        """Give the jobs over the whole dataset: what every model predicts, and the metrics that need no attack."""
        if self.images is None:
            return []
        parts = list(chunks(range(len(self.images.ids)), max(self.suite.compute.micro_batch, 250)))
        predicted = MetricUse(PREDICTED, PREDICTION, frozenset(), "all", None)
        looked_at = MetricUse(SANITY, EXAMINATION, frozenset(), "all", None)
        asked = {name: [predicted, *self._asked_of(name, "all")] for name in self.suite.all_models}
        firsts = [self._clean_jobs(parts[:1], name, [looked_at, *uses]) for name, uses in asked.items()]
        others = [self._clean_jobs(parts[1:], name, uses) for name, uses in asked.items()]
        return [job for both in zip(firsts, others, strict=True) for jobs in both for job in jobs]

    def _asked_of(self, model: str, over: str) -> list[MetricUse]:
        """Give the metrics that need no attack and are asked of a model."""
        return [use for use in self.metrics if not use.needs & NEED_ATTACK and use.over == over and model in use.models]

    def selected_jobs(self, selection: Selection) -> list[Job]:
        """Give the jobs over the selected images: the attacks with all that is observed on them."""
        parts = list(chunks(selection.indices, self.suite.compute.micro_batch))
        names = dict.fromkeys([*self.suite.targets, *self.suite.all_models])
        asked = {name: self._asked_of(name, "selected") for name in names}
        jobs = [job for name, uses in asked.items() if uses for job in self._clean_jobs(parts, name, uses)]
        sources, watched = {source_label(source): source for source in self.suite.sources}, self._watched()
        for (attack, source, budget), use in self.attacks.items():
            labels = {"source": source, "attack": attack, "budget": budget}
            jobs += self._attack_jobs(parts, labels, sources[source], use, *watched)
        return jobs

    def evaluations(self, steps: int) -> float:
        """Count the forwards of the metrics that watch an attack of so many steps, for an image."""
        return sum(
            metric.forwards * metric.observations(steps) * (len(self.suite.targets) if "target" in metric.needs else 1)
            for metric in self.metrics
            if metric.needs & NEED_ATTACK
        )

    def _watched(self) -> tuple[tuple[Cell, ...], list[Json]]:
        """Give the cells of an attack, and what is observed on it for them: the same whichever attack it is."""
        pairs = [
            self._cell(metric.spec, metric.label, target)
            for metric in self.metrics
            if metric.needs & NEED_ATTACK
            for target in (self.suite.targets if "target" in metric.needs else [None])
        ]
        return (Cell(RECORD, RECORD, None), *(cell for cell, _ in pairs)), _each_once([each for _, each in pairs])

    def _attack_jobs(
        self,
        parts: Sequence[Sequence[int]],
        labels: Mapping[str, str],
        source: str | list[str],
        use: AttackUse,
        cells: tuple[Cell, ...],
        observe: Sequence[Json],
    ) -> Iterator[Job]:
        limits, own = self.budget(labels["budget"]), members(source)
        models = {name: self.models[name] for name in (*own, *(o["target"] for o in observe if o["target"]))}
        combine = self.suite.ensemble if len(own) > 1 else None
        who = {"members": [self._model_identity(name) for name in own], "combine": combine}
        names = ("ids", "labels", "targets", "seed", "environment", "host", "attack", "budget", "quantise")
        forwards, backwards = use.cost.total(limits.steps)
        evaluations, threat = self.evaluations(limits.steps), asdict(limits)
        for part in parts:
            spec = self._spec(
                part,
                models,
                attack=use.spec,
                budget=threat,
                source={"members": own, "combine": self.suite.ensemble},
                quantise=self.suite.quantise,
                observe=observe,
            )
            address = digest({**{name: spec[name] for name in names}, "source": who})
            cost = (forwards * len(part), backwards * len(part))
            yield Job(address, spec, cells, labels, len(part), cost, evaluations * len(part), use.asks_source)

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
