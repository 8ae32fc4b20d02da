"""Turns a resolved suite into jobs of content-addressed cells, with their cost. No torch, no tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..reserved import KEPT, RECORD
from .budgets import whole_budget
from .jobs import AttackJob, Batch, Cell, CleanJob, GivenJob, Observation, PlannedJob, observation
from .resolve import ResolvedSuite
from .selection import Selection
from .specs import EXAMINATION, MISTAKES, PREDICTION, MetricSpec, kept_images
from .together import together
from .uses import NEEDS_SOURCE, AttackUse, GivenUse

CLEAN_BATCH = 250  # minimum batch size of jobs without an attack
FIRST_IMAGES = 1000  # classified in any case, so that several workers start and load the networks at once


def batches(resolved: ResolvedSuite, indices: Sequence[int], size: int) -> list[Batch]:
    """Split images of the dataset into batches of `size`; the last may be smaller."""
    images, data = resolved.images, resolved.data
    assert images is not None
    assert data is not None
    targets = getattr(images, "targets", None) if resolved.suite.targeted else None
    parts = [indices[start : start + size] for start in range(0, len(indices), size)]
    return [
        Batch(
            data,
            tuple(part),
            tuple(images.ids[i] for i in part),
            tuple(images.labels[i] for i in part),
            None if targets is None else tuple(targets[i] for i in part),
        )
        for part in parts
    ]


def clean_jobs(resolved: ResolvedSuite, selection: Selection | None = None) -> list[PlannedJob]:
    """Return the jobs that need no attack: every model's predictions, and the metrics over all images.

    Args:
        resolved: The suite, with its images.
        selection: The images that stand for the dataset if the run does not classify all of it; by default it does.
    """
    if resolved.images is None:
        return []
    parts = _clean_batches(resolved, range(len(resolved.images.ids)) if selection is None else selection.indices)
    jobs: list[PlannedJob] = []
    for model in resolved.suite.all_models:
        metrics = [(PREDICTION.recipe, PREDICTION, 1.0), *_clean_metrics(resolved, model, "all")]
        examination = (EXAMINATION.recipe, EXAMINATION, 1.0)
        jobs += _clean_jobs(resolved, parts[:1], model, [examination, *metrics])
        jobs += _clean_jobs(resolved, parts[1:], model, metrics, first=1)
    return jobs


def look_jobs(resolved: ResolvedSuite, model: str, indices: Sequence[int]) -> list[PlannedJob]:
    """Return the jobs that find which class a model predicts for some images of the dataset."""
    predictions = [(PREDICTION.recipe, PREDICTION, 1.0)]
    return list(_clean_jobs(resolved, _clean_batches(resolved, indices), model, predictions))


def _clean_batches(resolved: ResolvedSuite, indices: Sequence[int]) -> list[Batch]:
    return batches(resolved, indices, max(resolved.suite.compute.micro_batch, CLEAN_BATCH))


def preprocessing_jobs(resolved: ResolvedSuite, models: Sequence[str], count: int) -> list[PlannedJob]:
    """Return a job for each of some models: its predictions for the first images under likely mistakes."""
    assert resolved.images is not None
    indices = range(min(count, len(resolved.images.ids)))
    metrics = [(MISTAKES.recipe, MISTAKES, 1.0)]
    parts = batches(resolved, indices, count)
    return [job for model in models for job in _clean_jobs(resolved, parts, model, metrics)]


def selected_jobs(resolved: ResolvedSuite, selection: Selection, estimated: bool = False) -> list[PlannedJob]:
    """Return the jobs over the selected images: metrics that need no attack, and attacks with the metrics on them.

    Args:
        resolved: The suite.
        selection: The images.
        estimated: Whether the selection is only of the right size (`first_images`), so that images made elsewhere may
            lack some of it.

    Raises:
        UsageError: Images that were made elsewhere lack some of the selection.
    """
    parts = batches(resolved, selection.indices, resolved.suite.compute.micro_batch)
    jobs: list[PlannedJob] = []
    for model in dict.fromkeys([*resolved.suite.targets, *resolved.suite.all_models]):
        metrics = _clean_metrics(resolved, model, "selected")
        jobs += _clean_jobs(resolved, parts, model, metrics) if metrics else []
    members = resolved.suite.members_by_source
    observed = _observed_attack(resolved)
    for (attack, source, budget), use in resolved.attacks.items():
        labels = {"source": source, "attack": attack, "budget": budget}
        jobs += _attack_jobs(resolved, parts, labels, members[source], use, observed)
    for given in resolved.given:
        if not estimated:
            given.check(selection.indices)
        there = [part for part in parts if given.has(part.indices)]
        jobs += _given_jobs(resolved, there, given)
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
    resolved: ResolvedSuite, parts: Sequence[Batch], model: str, metrics: Sequence[CleanMetric], first: int = 0
) -> Iterator[PlannedJob]:
    spec = resolved.models[model]
    observations = [observation(metric, model, spec) for _, metric, _ in metrics]
    cells = tuple(Cell(item.key, label, model) for item, (label, _, _) in zip(observations, metrics, strict=True))
    forwards = 1 + sum(forwards - 1 for _, _, forwards in metrics)  # all share one forward of the clean images
    unique = _unique(observations)
    for number, part in enumerate(parts, first):
        job = CleanJob(part, {model: spec}, unique, resolved.suite.seed, resolved.environment, resolved.host)
        yield PlannedJob(job, cells, {"target": model}, evaluations=forwards * len(part), round=number)


@dataclass(frozen=True)
class _Observed:
    """What every attack job observes: the same for all attacks."""

    cells: tuple[Cell, ...]
    observations: tuple[Observation, ...]

    def keeping(self, steps: Sequence[int | str]) -> _Observed:
        """Return the same, with the images of some steps, which are kept in the store."""
        specs = [kept_images(None if isinstance(step, str) else step) for step in steps]
        kept = _unique([observation(spec, None, None) for spec in specs])
        cells = (Cell(item.key, KEPT, None) for item in kept)
        return _Observed((*self.cells, *cells), (*self.observations, *kept))


def _observed_attack(resolved: ResolvedSuite, with_source: bool = True) -> _Observed:
    """Return what is observed of attacks; without a source only what does not need it."""
    cells, observations = [Cell(RECORD, RECORD, None)], []
    for use in resolved.metrics:
        if not use.needs_attack or (use.needs & NEEDS_SOURCE and not with_source):
            continue
        for target in resolved.suite.targets if "target" in use.needs else [None]:
            item = observation(use.spec, target, resolved.models[target] if target else None)
            cells.append(Cell(item.key, use.label, target))
            observations.append(item)
    return _Observed(tuple(cells), _unique(observations))


def _unique(observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Drop duplicates: two labels of one model, or of one metric, share their cells."""
    return tuple({item.key: item for item in observations}.values())


def _attack_jobs(
    resolved: ResolvedSuite,
    parts: Sequence[Batch],
    labels: Mapping[str, str],
    source: Sequence[str],
    use: AttackUse,
    observed: _Observed,
) -> Iterator[PlannedJob]:
    suite, budget = resolved.suite, use.budget
    targets = [item.target for item in observed.observations if item.target]
    models = {name: resolved.models[name] for name in (*source, *targets)}
    forwards, backwards = use.passes
    metrics = evaluations(resolved, budget.steps)
    assert resolved.images is not None
    spec = use.spec_on(resolved.images) if parts else use.spec
    keeping = observed.keeping(suite.keep.steps)
    wholes = together(parts, use, resolved.environment, resolved.images.shape, suite.compute.together)
    for number, (part, whole) in enumerate(zip(parts, wholes, strict=True)):
        seen = keeping if number * suite.compute.micro_batch < suite.keep.images else observed
        job = AttackJob(
            part, models, seen.observations, suite.seed, resolved.environment, resolved.host,
            spec, budget, tuple(source), suite.ensemble, suite.quantise, suite.budgets[labels["budget"]].passes, whole,
        )  # fmt: skip
        cost = (forwards * len(part), backwards * len(part))
        yield PlannedJob(job, seen.cells, labels, cost, metrics * len(part), use.checks_source, number)


def _given_jobs(resolved: ResolvedSuite, parts: Sequence[Batch], use: GivenUse) -> Iterator[PlannedJob]:
    suite, observed = resolved.suite, _observed_attack(resolved, with_source=False)
    models = {item.target: resolved.models[item.target] for item in observed.observations if item.target}
    forwards = evaluations(resolved, 1)
    for number, part in enumerate(parts):
        targets = use.targets(part.indices) if suite.targeted else ()
        job = GivenJob(
            replace(part, targets=targets) if targets else part, models, observed.observations, suite.seed,
            resolved.environment, resolved.host, whole_budget(suite, use.budget), use.spec(part.indices),
        )  # fmt: skip
        yield PlannedJob(job, observed.cells, use.labels, evaluations=forwards * len(part), round=number)


def is_white_box(resolved: ResolvedSuite, source: Sequence[str], target: str) -> bool:
    """Return whether a target has any weights of the source, whatever their labels and whatever both are made of."""
    weights = resolved.models[target].weights
    return any(not weights.isdisjoint(resolved.models[name].weights) for name in source)
