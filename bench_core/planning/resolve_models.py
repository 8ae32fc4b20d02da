"""Finds the models of a suite in the registry, with all models that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import Fault, UsageError, did_you_mean
from ..registry import Registry
from ..suite.model import Suite
from ..types import Json, ModelRecipe, Rejection, WeightsFile
from .lookup import find_with_options
from .specs import ModelSpec

MOST_PARTS, DEEPEST = 10_000, 50  # networks of a suite with all that they are made of, and how deep these are nested

ShapeCheck = Callable[[tuple[int, int, int]], Rejection | str | None]


@dataclass
class ModelResolver:
    """Resolves labels to models. After `resolve_all`, what is known of them is by label, and `faults` has all faults.

    A model may appear several times, on its own and as a part of others; its faults are listed once.
    """

    suite: Suite
    registry: Registry
    models: dict[str, ModelSpec] = field(default_factory=dict)
    weights: dict[str, Sequence[WeightsFile]] = field(default_factory=dict)
    costs: dict[str, float | None] = field(default_factory=dict)
    checks: dict[str, ShapeCheck] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    resolved: int = 0

    def resolve_all(self) -> None:
        for label in self.suite.all_models:
            model = self.resolve(label, ())
            if model is not None:
                self.models[label] = model
        self.faults = list(dict.fromkeys(self.faults))

    def resolve(self, label: str, within: tuple[str, ...]) -> ModelSpec | None:
        """Return the model of a label, a part of the models `within`; None if it has faults, which are added."""
        entry, key = self.suite.models[label], f"models.{label}"
        self.resolved += 1
        if self.resolved > MOST_PARTS or len(within) >= DEEPEST:
            most = f"{DEEPEST} levels of networks" if len(within) >= DEEPEST else f"{MOST_PARTS:,} networks"
            self.faults.append(Fault(self.suite.file, f"models.{(*within, label)[0]}", f"is made of more than {most}"))
            return None
        match = find_with_options(
            self.registry, "models", entry.recipe, entry.options, self.suite.file, key, self.faults
        )
        if match is None:
            return None
        offer, options = match
        recipe = cast(ModelRecipe, offer.recipe)
        parts: dict[str, ModelSpec | tuple[ModelSpec, ...]] = {}
        for option in recipe.made_of:
            part = self.resolve_parts(options[option], f"{key}.{option}", (*within, label))
            if part is None:
                return None
            parts[option] = part
        own_options = {name: value for name, value in options.items() if name not in parts}
        arguments = own_options | {option: _identity(part) for option, part in parts.items()}
        try:
            identity = dict(recipe.identity(**arguments))
            self.weights[label] = recipe.files(**arguments) if recipe.files else []
            self.costs[label] = recipe.cost(**arguments) if recipe.cost else None
            self.checks |= {label: recipe.check} if recipe.check else {}
        except UsageError as error:
            self.faults += [
                Fault(self.suite.file, f"{key}.{fault.key}".rstrip("."), fault.message) for fault in error.faults
            ]
            return None
        return ModelSpec(entry.recipe, own_options, identity, offer.code, parts)

    def resolve_parts(self, named: Any, key: str, within: tuple[str, ...]) -> ModelSpec | tuple[ModelSpec, ...] | None:
        """Resolve the models that an option names, by one label or a list of labels."""
        labels = named if isinstance(named, list) else [named]
        if not labels or not all(isinstance(label, str) for label in labels):
            self.faults.append(Fault(self.suite.file, key, f"found {named!r} (try the label of a model)"))
            return None
        for label in labels:
            if label not in self.suite.models:
                hint = did_you_mean(label, self.suite.models)
                self.faults.append(Fault(self.suite.file, key, f'unknown name "{label}" {hint}'))
                return None
            if label in within:
                self.faults.append(Fault(self.suite.file, key, f'"{label}" is made of itself'))
                return None
            self.check_measured(label, within[-1])
        parts = [part for label in labels if (part := self.resolve(label, within)) is not None]
        if len(parts) < len(labels):
            return None
        return tuple(parts) if isinstance(named, list) else parts[0]

    def check_measured(self, label: str, whole: str) -> None:
        """Add a fault if a model has an expected accuracy but is only a part of another, and so is never measured."""
        if self.suite.models[label].expected_accuracy is None or label in self.suite.all_models:
            return
        message = f'"{label}" is only a part of "{whole}" and is not measured (try "{label}" in targets as well)'
        self.faults.append(Fault(self.suite.file, f"models.{label}.expected_accuracy", message))


def _identity(part: ModelSpec | tuple[ModelSpec, ...]) -> Json | list[Json]:
    return [member.identity for member in part] if isinstance(part, tuple) else part.identity


def missing_weights(weights: Mapping[str, Sequence[WeightsFile]]) -> dict[str, list[WeightsFile]]:
    """Return the files that are not on this machine, by the models' labels."""
    from pathlib import Path

    missing = {label: [f for f in files if not Path(f.path).is_file()] for label, files in weights.items()}
    return {label: files for label, files in missing.items() if files}
