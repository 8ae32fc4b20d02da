"""How the dataset, models, metrics and attack of a job are built: plain values that travel as JSON. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from ..digests import digest
from ..given.places import Place
from ..reserved import EXAMINED, KEPT, MISTAKEN, PREDICTED
from ..types import Json, Precision

SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Environment:
    """What results may depend on besides code and data: torch's version, machine type, device, number type, threads."""

    torch: str
    machine: str
    device: str
    dtype: Precision
    threads: int

    def to_json(self) -> Json:
        return dict(vars(self))


@dataclass(frozen=True)
class DatasetSpec:
    """The dataset that a job's images are loaded from."""

    recipe: str
    options: Json

    def to_json(self) -> Json:
        return {"recipe": self.recipe, "options": self.options}


@dataclass(frozen=True)
class ModelSpec:
    """How a model is built. `parts` are the models that it is made of, by the option that names them.

    `identity` distinguishes its weights from others, `code` is the digest of the code that builds it.
    """

    recipe: str
    options: Json
    identity: Json
    code: str
    parts: Mapping[str, ModelSpec | tuple[ModelSpec, ...]] = field(default_factory=dict)

    @cached_property
    def description(self) -> Json:
        """Everything that its outputs depend on, as JSON; models with equal descriptions are the same model."""
        parts = {
            option: [part.description for part in value] if isinstance(value, tuple) else value.description
            for option, value in self.parts.items()
        }
        return {
            "recipe": self.recipe,
            "options": {**self.options, **parts},
            "identity": self.identity,
            "code": self.code,
        }

    @cached_property
    def weights(self) -> frozenset[str]:
        """What identifies its weights, and those of all models that it is made of.

        These are the SHA-256 digests in the identity or, where it has none, the recipe with its options and identity.
        """
        digests = set(_digests(self.identity))
        for value in self.parts.values():
            for part in value if isinstance(value, tuple) else (value,):
                digests |= part.weights
        described = digest({"recipe": self.recipe, "options": self.options, "identity": self.identity})
        return frozenset(digests or {described})

    @property
    def networks(self) -> int:
        """The number of networks that an image passes in one forward: that of the members of an ensemble, else 1."""
        members = [part for value in self.parts.values() if isinstance(value, tuple) for part in value]
        return sum(part.networks for part in members) or 1

    def to_json(self) -> Json:
        parts = {
            option: [part.to_json() for part in value] if isinstance(value, tuple) else value.to_json()
            for option, value in self.parts.items()
        }
        fields_json = {"recipe": self.recipe, "options": self.options, "identity": self.identity, "code": self.code}
        return {**fields_json, "parts": parts}

    @classmethod
    def from_json(cls, given: Json) -> ModelSpec:
        parts = {
            option: tuple(map(cls.from_json, value)) if isinstance(value, list) else cls.from_json(value)
            for option, value in given["parts"].items()
        }
        return cls(**{**given, "parts": parts})


def _digests(value: Any) -> Iterator[str]:
    """Yield every SHA-256 in a JSON value, however deep."""
    if isinstance(value, str):
        if SHA256.fullmatch(value.lower()):
            yield value.lower()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _digests(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _digests(item)


@dataclass(frozen=True)
class MetricSpec:
    """How a metric is built. `data_mean` is the digest of the mean image, for metrics that use it."""

    recipe: str
    options: Json
    code: str
    data_mean: str | None = None

    def to_json(self) -> Json:
        fields_json = {"recipe": self.recipe, "options": self.options, "code": self.code}
        return fields_json if self.data_mean is None else {**fields_json, "data_mean": self.data_mean}


PREDICTION = MetricSpec(PREDICTED, {}, "")
EXAMINATION = MetricSpec(EXAMINED, {}, "")
MISTAKES = MetricSpec(MISTAKEN, {}, "")


def kept_images(step: int | None) -> MetricSpec:
    """Return what keeps the images of an attack: those after a step, counted from 1, or its last ones (None)."""
    return MetricSpec(KEPT, {"step": step}, "")


@dataclass(frozen=True)
class GivenSpec:
    """The images of a batch that were attacked elsewhere.

    Attributes:
        root: The folder or the file that they are in.
        places: Where each is (`given.places.Place`).
        digests: The SHA-256 of the pixels of each, which identify them wherever they are.
        rounded: Whether they are rounded to 8 bits inside the ball before they are judged.
    """

    root: str
    places: tuple[Place, ...]
    digests: tuple[str, ...]
    rounded: bool

    def to_json(self) -> Json:
        return {**asdict(self), "places": [list(place) for place in self.places], "digests": list(self.digests)}

    @classmethod
    def from_json(cls, given: Json) -> GivenSpec:
        places = tuple(Place(*place) for place in given["places"])
        return cls(given["root"], places, tuple(given["digests"]), given["rounded"])


@dataclass(frozen=True)
class AttackSpec:
    """How an attack is built: from the recipe in `names` or, if `joined`, from these recipes combined.

    `donors` is the digest of the donors, for attacks that declare them.
    """

    names: tuple[str, ...]
    joined: bool
    options: Json
    code: str
    donors: str | None = None

    def to_json(self) -> Json:
        own = {"names": list(self.names), "joined": self.joined, "options": self.options, "code": self.code}
        return own if self.donors is None else {**own, "donors": self.donors}

    @classmethod
    def from_json(cls, given: Json) -> AttackSpec:
        return cls(**{**given, "names": tuple(given["names"])})
