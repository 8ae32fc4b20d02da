"""Jobs: what a worker computes in one pass, as plain values that travel as JSON. No torch, no suite, no tables.

A *cell* is the rows of one metric on one batch of images, for one source under one attack and one target. Cells that
share the batch, the source and the attack share a job. A job holds everything that a worker needs, and its address
is the digest of everything that its results depend on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..digests import digest
from ..types import Budget, Json
from .specs import AttackSpec, DatasetSpec, Environment, GivenSpec, MetricSpec, ModelSpec

LIMITS = ("access", "queries")  # fields of a budget


@dataclass(frozen=True)
class Observation:
    """A metric to compute within a job. `key` names its cell in the store; `target` is a model's label, or None."""

    key: str
    metric: MetricSpec
    target: str | None

    def to_json(self) -> Json:
        return {"key": self.key, "metric": self.metric.to_json(), "target": self.target}

    @classmethod
    def from_json(cls, given: Json) -> Observation:
        return cls(given["key"], MetricSpec(**given["metric"]), given["target"])


def observation(metric: MetricSpec, label: str | None, model: ModelSpec | None) -> Observation:
    """Return the observation of a metric, keyed by the metric and by the model itself rather than by their labels."""
    identity = {"metric": metric.to_json(), "target": model.description if model else None}
    return Observation(digest(identity)[:32], metric, label)


@dataclass(frozen=True)
class Batch:
    """The images of a job: positions in the dataset, digests, classes, and the classes to aim at (None: random)."""

    data: DatasetSpec
    indices: tuple[int, ...]
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    targets: tuple[int, ...] | None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def identity(self) -> str:
        """The digest of what results depend on: the images, their classes and the classes to aim at."""
        return digest([self.ids, self.labels, self.targets])

    def take(self, count: int) -> Batch:
        """Return the first `count` images."""
        targets = None if self.targets is None else self.targets[:count]
        return Batch(self.data, self.indices[:count], self.ids[:count], self.labels[:count], targets)

    def to_json(self) -> Json:
        targets = None if self.targets is None else list(self.targets)
        own = {"indices": list(self.indices), "ids": list(self.ids), "labels": list(self.labels), "targets": targets}
        return {"data": self.data.to_json(), **own}

    @classmethod
    def from_json(cls, given: Json) -> Batch:
        targets = None if given["targets"] is None else tuple(given["targets"])
        indices, ids, labels = (tuple(given[name]) for name in ("indices", "ids", "labels"))
        return cls(DatasetSpec(**given["data"]), indices, ids, labels, targets)


@dataclass(frozen=True)
class CleanJob:
    """The observations of clean images that need no attack."""

    batch: Batch
    models: Mapping[str, ModelSpec]
    observe: tuple[Observation, ...]
    seed: int
    environment: Environment
    host: str

    def address(self) -> str:
        return digest(_addressed(self))

    def to_json(self) -> Json:
        return {"kind": "clean", **_common_json(self)}


@dataclass(frozen=True)
class AttackJob:
    """An attack on a source, and the observations of it.

    `members` are labels in `models`, several for an ensemble. `passes` is the limit at which the attack is stopped.
    `together` is the batch of all jobs that are computed at once, with this job's images; None if it is computed alone.
    """

    batch: Batch
    models: Mapping[str, ModelSpec]
    observe: tuple[Observation, ...]
    seed: int
    environment: Environment
    host: str
    attack: AttackSpec
    budget: Budget
    members: tuple[str, ...]
    combine: str
    quantise: bool
    passes: int | None = None
    together: Batch | None = None

    def whole(self) -> AttackJob:
        """Return the job over all images of its group, which is what a worker computes."""
        return self if self.together is None else replace(self, batch=self.together, together=None)

    def address(self) -> str:
        members = [self.models[name].description for name in self.members]
        source = {"members": members, "combine": self.combine if len(members) > 1 else None}
        own = {
            "targets": None if self.batch.targets is None else list(self.batch.targets),
            "attack": self.attack.to_json(),
            "budget": _addressed_budget(self.budget),
            "source": source,
            "quantise": self.quantise,
            **({} if self.passes is None else {"passes": self.passes}),
            **({} if self.together is None else {"together": self.together.identity}),
        }
        return digest({**_addressed(self), **own})

    def to_json(self) -> Json:
        own = {
            "attack": self.attack.to_json(),
            "budget": dict(vars(self.budget)),
            "members": list(self.members),
            "combine": self.combine,
            "quantise": self.quantise,
            "passes": self.passes,
        }
        return {"kind": "attack", **_common_json(self), **own}


@dataclass(frozen=True)
class GivenJob:
    """The observations of adversarial images that were made elsewhere. `batch` has their clean images."""

    batch: Batch
    models: Mapping[str, ModelSpec]
    observe: tuple[Observation, ...]
    seed: int
    environment: Environment
    host: str
    budget: Budget
    given: GivenSpec

    def address(self) -> str:
        own = {
            "targets": None if self.batch.targets is None else list(self.batch.targets),
            "given": list(self.given.digests),
            "rounded": self.given.rounded,
            "budget": _addressed_budget(self.budget),
        }
        return digest({**_addressed(self), **own})

    def to_json(self) -> Json:
        return {**_common_json(self), "kind": "given", "budget": dict(vars(self.budget)), "given": self.given.to_json()}


@dataclass(frozen=True)
class SourceCheck:
    """Whether an attack accepts its source, found without attacking an image. It has no address: nothing is stored."""

    job: AttackJob

    @classmethod
    def of(cls, job: AttackJob) -> SourceCheck:
        sources = {name: job.models[name] for name in job.members}
        return cls(replace(job, batch=job.batch.take(1), models=sources, observe=()))

    def to_json(self) -> Json:
        return {**self.job.to_json(), "kind": "source_check"}


Job = CleanJob | AttackJob | GivenJob


def _addressed(job: Job) -> dict[str, Any]:
    """Return the part of the address that all jobs share.

    Left out are the dataset and the positions in it, since the ids are digests of the pixels, and the models and
    observations, since every cell of a job has a key that is a digest of both.
    """
    return {
        "ids": list(job.batch.ids),
        "labels": list(job.batch.labels),
        "seed": job.seed,
        "environment": job.environment.to_json(),
        "host": job.host,
    }


def _addressed_budget(budget: Budget) -> Json:
    """Return a budget as JSON; what limits queries only where it does, so that it changed no other address."""
    given = vars(budget)
    return dict(given) if budget.queries is not None else {key: given[key] for key in given if key not in LIMITS}


def _common_json(job: Job) -> dict[str, Any]:
    return {
        "batch": job.batch.to_json(),
        "models": {label: model.to_json() for label, model in job.models.items()},
        "observe": [observed.to_json() for observed in job.observe],
        "seed": job.seed,
        "environment": job.environment.to_json(),
        "host": job.host,
    }


def job_from_json(given: Json) -> Job | SourceCheck:
    """Return the job that `to_json` wrote."""
    common: dict[str, Any] = {
        "batch": Batch.from_json(given["batch"]),
        "models": {label: ModelSpec.from_json(model) for label, model in given["models"].items()},
        "observe": tuple(map(Observation.from_json, given["observe"])),
        "seed": given["seed"],
        "environment": Environment(**given["environment"]),
        "host": given["host"],
    }
    if given["kind"] == "clean":
        return CleanJob(**common)
    if given["kind"] == "given":
        return GivenJob(**common, budget=Budget(**given["budget"]), given=GivenSpec.from_json(given["given"]))
    job = AttackJob(
        **common,
        attack=AttackSpec.from_json(given["attack"]),
        budget=Budget(**given["budget"]),
        members=tuple(given["members"]),
        combine=given["combine"],
        quantise=given["quantise"],
        passes=given["passes"],
    )
    return SourceCheck(job) if given["kind"] == "source_check" else job


def merge(jobs: Sequence[Job]) -> Job:
    """Merge jobs that differ only in their observations and the models for these, as those of one address do."""
    models = {label: model for job in jobs for label, model in job.models.items()}
    observe = {observed.key: observed for job in jobs for observed in job.observe}
    return replace(jobs[0], models=models, observe=tuple(observe.values()))


@dataclass(frozen=True)
class Cell:
    """One result of a job: its key within the job's store entry, the metric's label and the target's."""

    key: str
    metric: str
    target: str | None


@dataclass(frozen=True)
class PlannedJob:
    """A job, the cells that it computes, where its rows belong, and its cost.

    Attributes:
        cells: What is computed. Two labels of one metric or model are two cells of one key.
        labels: The source, attack and budget, or the target. They are no part of the address.
        cost: Forwards and backwards through the source, for all images together.
        evaluations: Forwards of the metrics.
        checks_source: Whether the attack rejects some sources and must be asked before the run.
        round: The number of its micro-batch, from 0. After a round, all that the suite asks for is known of its images.
    """

    job: Job
    cells: tuple[Cell, ...]
    labels: Mapping[str, str]
    cost: tuple[float, float] = (0, 0)
    evaluations: float = 0
    checks_source: bool = False
    round: int = 0

    @cached_property
    def address(self) -> str:
        return self.job.address()

    @property
    def images(self) -> int:
        return len(self.job.batch)

    @property
    def passes(self) -> float:
        """Estimate the time in forwards: a backward through frozen weights costs about as much as a forward."""
        return sum(self.cost) + self.evaluations
