"""Finds everything that a suite names in the registry, and checks it. No torch."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..data_mean import data_mean_digest
from ..errors import Fault, UsageError, stop_at_faults
from ..registry import Registry
from ..suite.decide import decided_table
from ..suite.load import at_overrides
from ..suite.model import Suite
from ..suite.validate import output_faults
from ..types import Images, Metric, Precision, Rejection, WeightsFile
from .budgets import whole_budget
from .data_faults import data_faults, donor_faults
from .dataset_share import left_out
from .host_digest import host_digest
from .lookup import find_with_options
from .query_faults import query_faults
from .resolve_attacks import AttackKey, AttackResolver
from .resolve_given import resolve_given
from .resolve_models import ModelResolver, ShapeCheck, missing_weights
from .specs import DatasetSpec, Environment, MetricSpec, ModelSpec
from .uses import NEEDS, AttackUse, GivenUse, MetricUse


def environment(device: str, precision: Precision, threads: int) -> Environment:
    """Return the environment, with the installed version of torch and the type of this machine."""
    return Environment(importlib.metadata.version("torch"), platform.machine(), device, precision, threads)


@dataclass
class ResolvedSuite:
    """A suite and everything that it names, as `resolve` returns it.

    Attributes:
        host: The digest of the host's code that computes results.
        limit: The largest number of images to attack, or None.
        uses: The metrics, without what depends on the images (see `metrics`).
        models: The models by label.
        weights: The files that each model is loaded from, by its label.
        costs: What one image costs each model, by its label (see `ModelRecipe.cost`).
        attacks: The attacks by the labels of attack, source and budget.
        given: The images that were attacked elsewhere.
        images: The dataset; None if it is not on this machine, for the reason `data_missing`.
        precision_reason: Why `--precision auto` has chosen the number type of the attacks' gradients; empty without it.
    """

    suite: Suite
    registry: Registry
    environment: Environment
    host: str
    limit: int | None = None
    uses: list[MetricUse] = field(default_factory=list)
    models: dict[str, ModelSpec] = field(default_factory=dict)
    weights: dict[str, Sequence[WeightsFile]] = field(default_factory=dict)
    costs: dict[str, float | None] = field(default_factory=dict)
    attacks: dict[AttackKey, AttackUse] = field(default_factory=dict)
    given: list[GivenUse] = field(default_factory=list)
    data: DatasetSpec | None = None
    images: Images | None = None
    data_missing: str = ""
    precision_reason: str = ""

    @cached_property
    def metrics(self) -> list[MetricUse]:
        """The metrics, with the digest of the mean image where they need it; reading the ids for it may be slow."""
        return self.uses if self.images is None else [_on_data(use, self.images) for use in self.uses]

    @property
    def metrics_by_label(self) -> dict[str, Metric]:
        return {use.label: use.metric for use in self.uses}

    @property
    def missing_weights(self) -> dict[str, list[WeightsFile]]:
        """The weights files that are not on this machine, by the models' labels."""
        return missing_weights(self.weights)

    @property
    def precision(self) -> str:
        """The number type of the attacks' gradients, and why it was chosen."""
        reason = f" (auto: {self.precision_reason})" if self.precision_reason else ""
        return f"{self.environment.dtype}{reason}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: a chosen or unusual number type, and what dataset and metrics say of themselves."""
        worth_noting = self.precision_reason or self.environment.dtype != "float32"
        gradients = [f"the attacks' gradients: {self.precision}"] if worth_noting else []
        of_metrics = [(use.label, getattr(use.metric, "notes", ())) for use in self.uses]
        images = [f"images: {note}" for note in getattr(self.images, "notes", ())]
        given = [
            f"{use.attack} on {use.source}, given and not attacked here: {note}"
            for use in self.given
            for note in use.notes
        ]
        metrics = [f"{label}: {note}" for label, notes in of_metrics for note in notes]
        return (*gradients, *images, *left_out(self), *given, *metrics)

    @property
    def count(self) -> int:
        """The number of images to attack, at most."""
        wanted = self.suite.images.count
        return wanted if self.limit is None else min(self.limit, wanted)


def resolve(
    suite: Suite,
    registry: Registry,
    *,
    device: str = "cpu",
    precision: Precision = "float32",
    precision_reason: str = "",
    threads: int = 1,
    limit: int | None = None,
    with_images: bool = True,
) -> ResolvedSuite:
    """Find everything that a suite names, and check it.

    Args:
        suite: The suite.
        registry: Where its names are looked up.
        device: The name of the device that computes results, as torch names it.
        precision: The number type of the attacks' gradients.
        precision_reason: Why it was chosen; empty if the user has named it.
        threads: Threads of each worker.
        limit: The largest number of images to attack.
        with_images: Whether to open the dataset.

    Raises:
        UsageError: with all faults of the suite.
    """
    resolved = ResolvedSuite(suite, registry, environment(device, precision, threads), host_digest(), limit)
    resolved.precision_reason = precision_reason
    models = ModelResolver(suite, registry)
    models.resolve_all()
    resolved.models, resolved.weights, resolved.costs = models.models, models.weights, models.costs
    attacks = AttackResolver(suite, registry, models.models)
    attacks.resolve_all()
    resolved.attacks = attacks.uses
    faults = [*_resolve_metrics(resolved), *models.faults, *attacks.faults]
    faults += output_faults(suite, resolved.metrics_by_label)
    faults += [*_only_faults(resolved), *_decide_faults(resolved), *query_faults(suite, resolved.uses)]
    faults += _open_data(resolved, models.checks) if with_images else []
    stop_at_faults(at_overrides(suite, faults))
    if resolved.images is not None:
        budgets = {label: whole_budget(suite, label) for label in suite.budgets}
        resolved.given = resolve_given(suite, budgets, resolved.images)
    return resolved


def _resolve_metrics(resolved: ResolvedSuite) -> list[Fault]:
    suite, faults = resolved.suite, list[Fault]()
    for label, entry in suite.metrics.items():
        key = f"metrics.{label}"
        match = find_with_options(resolved.registry, "metrics", entry.recipe, entry.options, suite.file, key, faults)
        if match is None:
            continue
        offer, options = match
        metric = offer.build(**options)
        needs = frozenset(inspect.signature(metric.observe).parameters)
        unknown = sorted(needs - set(NEEDS))
        if unknown:
            faults.append(Fault(suite.file, key, f"`observe` has the parameters {unknown}; known: {', '.join(NEEDS)}"))
        default_models = suite.all_models if entry.over == "all" else suite.targets
        models = default_models if entry.models is None else entry.models
        spec = MetricSpec(entry.recipe, options, offer.code)
        forwards = getattr(metric, "forwards", 1)
        resolved.uses.append(MetricUse(label, spec, needs, entry.over, metric, forwards, models))
    return faults


def _only_faults(resolved: ResolvedSuite) -> Iterator[Fault]:
    """Find metrics and tables that are restricted by the outcome of an attack, but observe no attack."""
    suite = resolved.suite
    without = {use.label for use in resolved.uses if not use.needs_attack}
    restricted = {f"metrics.{label}": label for label, entry in suite.metrics.items() if entry.only}
    restricted |= {
        f"tables.{index}": entry.value.partition(".")[0] for index, entry in enumerate(suite.tables) if entry.only
    }
    for key, label in restricted.items():
        if label in without:
            yield Fault(suite.file, f"{key}.only", f'"{label}" observes clean images, not an attack (remove it)')


def _decide_faults(resolved: ResolvedSuite) -> Iterator[Fault]:
    """Find a table whose comparisons cannot be decided, because the suite has no targets to observe."""
    suite = resolved.suite
    table = decided_table(suite.decide, suite.tables) if suite.decide else None
    of_targets = {use.label for use in resolved.uses if "target" in use.needs}
    label = table.value.partition(".")[0] if table else ""
    if table and label in of_targets and not suite.targets:
        known = [model for model in suite.models if model not in suite.attacked_models] or list(suite.models)
        hint = f" (try targets = {json.dumps(known[:2])})" if known else ""
        message = f'found none, but the comparisons of "{table.name}" are of "{label}", which observes targets{hint}'
        yield Fault(suite.file, "targets", message)


def _on_data(use: MetricUse, images: Images) -> MetricUse:
    """Add the digest of the mean image to a metric that needs it."""
    if "data_mean" not in use.needs:
        return use
    return replace(use, spec=replace(use.spec, data_mean=data_mean_digest(images)))


def _open_data(resolved: ResolvedSuite, of_models: Mapping[str, ShapeCheck]) -> list[Fault]:
    suite, faults = resolved.suite, list[Fault]()
    match = find_with_options(
        resolved.registry, "datasets", suite.data.kind, suite.data.options, suite.file, "data", faults, under="kind"
    )
    if match is None:
        return faults
    offer, options = match
    resolved.data = DatasetSpec(suite.data.kind, options)
    try:
        images: Images = offer.build(**options)
    except UsageError as error:
        resolved.data_missing = "; ".join(fault.message for fault in error.faults)
        return []
    resolved.images = images
    faults += [*data_faults(suite, images), *donor_faults(suite, resolved.attacks, images)]
    checks: list[tuple[str, ShapeCheck | None]] = [(f"models.{label}", check) for label, check in of_models.items()]
    checks += [(f"attacks.{label}", use.check) for (label, _, _), use in resolved.attacks.items()]
    checks += [(f"metrics.{use.label}", getattr(use.metric, "check", None)) for use in resolved.uses]
    for key, check in checks:
        rejection = Rejection.of(check(images.shape)) if check else None
        if rejection:
            faults.append(Fault(suite.file, f"{key}.{rejection.option}".rstrip("."), rejection.message))
    return faults
