"""What a suite names, found in the registry and checked: the faults of metrics, models, attacks and data at once."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from ..digests import digest, folder_digest
from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..registry import Offer, Registry
from ..suite.model import Suite, source_label
from ..types import Budget, Cost, Images, Json, ModelRecipe, Precision, Rejection, WeightsFile
from ..worker.data_mean import average_digest

NEEDS = ("clean", "adversarial", "step", "source", "target", "rng", "data_mean")
COMPUTING_FILES = (
    "worker/job", "worker/data_mean", "batches", "worker/precision", "worker/contracts", "worker/streams", "grid",
    "clouds", "logits", "types", "worker/rng_state", "worker/diagnostics",
)  # fmt: skip


@dataclass(frozen=True)
class MetricUse:
    """A metric of the suite with its options filled in, and its needs."""

    label: str
    spec: Json
    needs: frozenset[str]
    over: str
    metric: Any
    forwards: float = 1  # through its network, for one image each time that it observes
    models: Collection[str] = ()  # that it is asked of, if it needs no attack

    def observations(self, steps: int) -> int:
        """Count how often it looks at an image under an attack of so many steps."""
        if "step" not in self.needs:
            return 1
        asked = getattr(self.metric, "steps", None)
        return steps if asked is None else sum(1 <= step <= steps for step in asked)


@dataclass(frozen=True)
class AttackUse:
    """An attack on one source within one budget."""

    spec: Json
    cost: Cost
    check: Any
    global_seed: bool = False  # its randomness is the host's seed for a micro-batch, not each image's own
    cost_assumed: bool = False  # the attack does not say what it costs
    deviations: Mapping[str, str] = field(default_factory=dict)  # rules of `bench check` that it says it cannot keep
    asks_source: bool = False  # not every network will do as its source, which only the network itself can tell


def environment(device: str, precision: Precision, threads: int) -> dict[str, Any]:
    """Give what results may depend on beside the code: library, kind of machine, device, number type, threads."""
    return {
        "torch": importlib.metadata.version("torch"),
        "machine": platform.machine(),
        "device": device,
        "dtype": precision,
        "threads": threads,
    }


def host_digest() -> str:
    here = Path(__file__).parents[1]
    return digest([folder_digest(here / f"{name}.py") for name in COMPUTING_FILES])


@dataclass
class Named:
    """A suite with all that it names. Making one checks every name and option; raises UsageError with all faults.

    The images are not looked for where `with_images` is false.
    """

    suite: Suite
    registry: Registry
    device: str = "cpu"
    precision: Precision = "float32"
    threads: int = 1
    limit: int | None = None
    with_images: bool = True
    uses: list[MetricUse] = field(default_factory=list)
    models: dict[str, Json] = field(default_factory=dict)
    weights: dict[str, Sequence[WeightsFile]] = field(default_factory=dict)
    attacks: dict[tuple[str, str, str], AttackUse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults: list[Fault] = []
        self.environment = environment(self.device, self.precision, self.threads)
        self.host = host_digest()
        self.images: Images | None = None
        self.data_missing = ""
        for step in (self._use_metrics, self._use_models, self._use_attacks):
            faults += step()
        faults += self._use_data() if self.with_images else []
        stop_at_faults(faults)

    @cached_property
    def metrics(self) -> list[MetricUse]:
        """The metrics, completed by what depends on the images: these are read for it, so only once somebody asks."""
        return self.uses if self.images is None else [self._on_data(use, self.images) for use in self.uses]

    @property
    def missing_weights(self) -> dict[str, list[WeightsFile]]:
        """The files that are not where the models look for them, by the models' labels."""
        missing = {label: [f for f in files if not Path(f.path).is_file()] for label, files in self.weights.items()}
        return {label: files for label, files in missing.items() if files}

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

    def _known(
        self, kind: str, name: str, given: Mapping[str, Any], key: str, faults: list[Fault], under: str = "recipe"
    ) -> tuple[Offer, dict[str, Any]] | None:
        """Find a recipe and all its options; where there is something wrong, note the faults and give None."""
        try:
            offer = self.registry.find(kind, name, self.suite.file, f"{key}.{under}")
        except UsageError as error:
            faults.extend(error.faults)
            return None
        options, wrong = offer.check(given, self.suite.file, key)
        faults.extend(wrong)
        return None if wrong else (offer, options)

    def _use_metrics(self) -> list[Fault]:
        faults: list[Fault] = []
        for label, entry in self.suite.metrics.items():
            key = f"metrics.{label}"
            known = self._known("metrics", entry.recipe, entry.options, key, faults)
            if known is None:
                continue
            offer, options = known
            metric = offer.build(**options)
            needs = frozenset(inspect.signature(metric.observe).parameters)
            if needs - set(NEEDS):
                faults.append(
                    Fault(self.suite.file, key, f"the metric asks for {sorted(needs - set(NEEDS))}; known: {NEEDS}")
                )
            spec = {"recipe": entry.recipe, "options": options, "code": offer.code}
            usual = self.suite.all_models if entry.over == "all" else self.suite.targets
            asked = usual if entry.models is None else entry.models
            forwards = getattr(metric, "forwards", 1)
            self.uses.append(MetricUse(label, spec, needs, entry.over, metric, forwards, asked))
        return faults

    def _use_models(self) -> list[Fault]:
        faults: list[Fault] = []
        for label in self.suite.all_models:
            model = self._model(label, (), faults)
            if model is not None:
                self.models[label] = model
        return list(dict.fromkeys(faults))

    def _model(self, label: str, within: tuple[str, ...], faults: list[Fault]) -> Json | None:
        """Say what builds a model, with all that it is made of; where something is wrong, note it and give None."""
        entry, key = self.suite.models[label], f"models.{label}"
        known = self._known("models", entry.recipe, entry.options, key, faults)
        if known is None:
            return None
        offer, options = known
        recipe, parts = cast(ModelRecipe, offer.recipe), {}
        for option in recipe.made_of:
            part = self._parts(options[option], f"{key}.{option}", (*within, label), faults)
            if part is None:
                return None
            parts[option] = part
        bare = {name: [p["identity"] for p in part] if isinstance(part, list) else part["identity"]
                for name, part in parts.items()}  # fmt: skip
        try:
            identity = dict(recipe.identity(**options | bare))
            self.weights[label] = recipe.files(**options | bare) if recipe.files else []
        except UsageError as error:
            faults += [Fault(self.suite.file, f"{key}.{f.key}".rstrip("."), f.message) for f in error.faults]
            return None
        return {"recipe": entry.recipe, "options": options | parts, "identity": identity, "code": offer.code}

    def _parts(self, named: Any, key: str, within: tuple[str, ...], faults: list[Fault]) -> Json | list[Json] | None:
        """Find the models that an option names, by one label or a list of them."""
        labels = named if isinstance(named, list) else [named]
        if not labels or not all(isinstance(label, str) for label in labels):
            faults.append(Fault(self.suite.file, key, f"found {named!r} (would do: the label of a model)"))
            return None
        for label in labels:
            if label not in self.suite.models:
                hint = did_you_mean(label, self.suite.models)
                faults.append(Fault(self.suite.file, key, f'unknown name "{label}" {hint}'))
                return None
            if label in within:
                faults.append(Fault(self.suite.file, key, f'"{label}" would be made of itself'))
                return None
            faults += self._unmeasured(label, within[-1])
        found = [part for label in labels if (part := self._model(label, within, faults)) is not None]
        if len(found) < len(labels):
            return None
        return found if isinstance(named, list) else found[0]

    def _unmeasured(self, label: str, whole: str) -> list[Fault]:
        """Say of a part of another model that the accuracy expected of it is not measured, and so not held against."""
        if self.suite.models[label].expected_accuracy is None or label in self.suite.all_models:
            return []
        message = f'"{label}" is only a part of "{whole}", and is not measured (would do: "{label}" in targets as well)'
        return [Fault(self.suite.file, f"models.{label}.expected_accuracy", message)]

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
                    "code": offer.code,
                }
                self.attacks[label, source, budget] = AttackUse(
                    spec,
                    getattr(attack, "cost", Cost()),
                    getattr(attack, "check", None),
                    getattr(attack, "global_seed", False),
                    cost_assumed=not hasattr(attack, "cost"),
                    deviations=dict(getattr(attack, "deviations", {})),
                    asks_source=getattr(attack, "asks_source", hasattr(attack, "check_source")),
                )
        return list(dict.fromkeys(faults))

    def _on_data(self, use: MetricUse, images: Images) -> MetricUse:
        """Complete what is said of a metric by what depends on the images."""
        average = {"data_mean": average_digest(images)} if "data_mean" in use.needs else {}
        return replace(use, spec={**use.spec, **average})

    def _use_data(self) -> list[Fault]:
        faults: list[Fault] = []
        known = self._known("datasets", self.suite.data.kind, self.suite.data.options, "data", faults, under="kind")
        if known is None:
            return faults
        offer, options = known
        self.data = {"recipe": self.suite.data.kind, "options": options}
        try:
            images: Images = offer.build(**options)
        except UsageError as error:
            self.data_missing = "; ".join(fault.message for fault in error.faults)
            return []
        self.images = images
        checks = [(f"attacks.{label}", use.check) for (label, _, _), use in self.attacks.items()]
        checks += [(f"metrics.{use.label}", getattr(use.metric, "check", None)) for use in self.uses]
        for key, check in checks:
            rejection = Rejection.of(check(images.shape)) if check else None
            if rejection:
                faults.append(Fault(self.suite.file, f"{key}.{rejection.option}".rstrip("."), rejection.message))
        return faults
