"""A resolved suite becomes jobs of content-addressed cells, with their cost. No torch, no tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..reserved import RECORD
from ..suite.model import members, source_label
from .jobs import AttackJob, Batch, Cell, CleanJob, Observation, PlannedJob, observation
from .resolve import ResolvedSuite
from .selection import Selection
from .specs import EXAMINATION, PREDICTION, MetricSpec
from .uses import AttackUse

CLEAN_BATCH = 250  # images of a job without attack, at least


def batches(resolved: ResolvedSuite, indices: Sequence[int], size: int) -> list[Batch]:
    """Split images of the dataset into batches of `size`; the last may be smaller."""
    images, data = resolved.images, resolved.data
    assert images is not None
    assert data is not None
    aims = getattr(images, "targets", None)
    parts = [indices[start : start + size] for start in range(0, len(indices), size)]
    return [
        Batch(
            data,
            tuple(part),
            tuple(images.ids[i] for i in part),
            tuple(images.labels[i] for i in part),
            None if aims is None else tuple(aims[i] for i in part),
        )
        for part in parts
    ]


def clean_jobs(resolved: ResolvedSuite) -> list[PlannedJob]:
    """Return the jobs over the whole dataset: every model's predictions, and the metrics that need no attack."""
    if resolved.images is None:
        return []
    size = max(resolved.suite.compute.micro_batch, CLEAN_BATCH)
    parts = batches(resolved, range(len(resolved.images.ids)), size)
    jobs: list[PlannedJob] = []
    for model in resolved.suite.all_models:
        used = [(PREDICTION.recipe, PREDICTION, 1.0), *_clean_metrics(resolved, model, "all")]
        examined = (EXAMINATION.recipe, EXAMINATION, 1.0)
        jobs += _clean_jobs(resolved, parts[:1], model, [examined, *used])
        jobs += _clean_jobs(resolved, parts[1:], model, used)
    return jobs


def selected_jobs(resolved: ResolvedSuite, selection: Selection) -> list[PlannedJob]:
    """Return the jobs over the selected images: the metrics that need no attack, and the attacks with theirs."""
    parts = batches(resolved, selection.indices, resolved.suite.compute.micro_batch)
    jobs: list[PlannedJob] = []
    for model in dict.fromkeys([*resolved.suite.targets, *resolved.suite.all_models]):
        used = _clean_metrics(resolved, model, "selected")
        jobs += _clean_jobs(resolved, parts, model, used) if used else []
    sources = {source_label(source): source for source in resolved.suite.sources}
    observed = _observed_attack(resolved)
    for (attack, source, budget), use in resolved.attacks.items():
        labels = {"source": source, "attack": attack, "budget": budget}
        jobs += _attack_jobs(resolved, parts, labels, members(sources[source]), use, observed)
    return jobs


def evaluations(resolved: ResolvedSuite, steps: int) -> float:
    """Count the forwards of the metrics that observe an attack of `steps` steps on one image."""
    return sum(
        use.forwards * use.observations(steps) * (len(resolved.suite.targets) if "target" in use.needs else 1)
        for use in resolved.metrics
        if use.needs_attack
    )


CleanMetric = tuple[str, MetricSpec, float]  # label, metric, forwards for one image


def _clean_metrics(resolved: ResolvedSuite, model: str, over: str) -> list[CleanMetric]:
    """Return the metrics that need no attack and observe a model over "all" or the "selected" images."""
    return [
        (use.label, use.spec, use.forwards)
        for use in resolved.metrics
        if not use.needs_attack and use.over == over and model in use.models
    ]


def _clean_jobs(
    resolved: ResolvedSuite, parts: Sequence[Batch], model: str, used: Sequence[CleanMetric]
) -> Iterator[PlannedJob]:
    spec = resolved.models[model]
    observed = [observation(metric, model, spec) for _, metric, _ in used]
    cells = tuple(Cell(one.key, label, model) for one, (label, _, _) in zip(observed, used, strict=True))
    forwards = 1 + sum(forwards - 1 for _, _, forwards in used)  # they share the pass of the images themselves
    for part in parts:
        job = CleanJob(part, {model: spec}, _unique(observed), resolved.suite.seed, resolved.environment, resolved.host)
        yield PlannedJob(job, cells, {"target": model}, evaluations=forwards * len(part))


@dataclass(frozen=True)
class _Observed:
    """What is observed of an attack, whichever it is."""

    cells: tuple[Cell, ...]
    observations: tuple[Observation, ...]


def _observed_attack(resolved: ResolvedSuite) -> _Observed:
    cells, observations = [Cell(RECORD, RECORD, None)], []
    for use in resolved.metrics:
        if not use.needs_attack:
            continue
        for target in resolved.suite.targets if "target" in use.needs else [None]:
            observed = observation(use.spec, target, resolved.models[target] if target else None)
            cells.append(Cell(observed.key, use.label, target))
            observations.append(observed)
    return _Observed(tuple(cells), _unique(observations))


def _unique(observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Drop duplicates: two labels of one model, or of one metric, share their cells."""
    return tuple({observed.key: observed for observed in observations}.values())


def _attack_jobs(
    resolved: ResolvedSuite,
    parts: Sequence[Batch],
    labels: Mapping[str, str],
    source: Sequence[str],
    use: AttackUse,
    observed: _Observed,
) -> Iterator[PlannedJob]:
    suite, budget = resolved.suite, resolved.budget(labels["budget"])
    targets = [one.target for one in observed.observations if one.target]
    models = {name: resolved.models[name] for name in (*source, *targets)}
    forwards, backwards = use.cost.total(budget.steps)
    metrics = evaluations(resolved, budget.steps)
    for part in parts:
        job = AttackJob(
            part, models, observed.observations, suite.seed, resolved.environment, resolved.host,
            use.spec, budget, tuple(source), suite.ensemble, suite.quantise,
        )  # fmt: skip
        cost = (forwards * len(part), backwards * len(part))
        yield PlannedJob(job, observed.cells, labels, cost, metrics * len(part), use.checks_source)


def is_white_box(resolved: ResolvedSuite, source: Sequence[str], target: str) -> bool:
    """Return whether a target is, by its weights, the source or one of its members."""
    identities = [resolved.models[name].identity for name in source]
    return resolved.models[target].identity in identities
