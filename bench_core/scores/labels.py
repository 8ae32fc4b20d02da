"""The labels of rows and scores: bench's own, and those that suites and metrics add."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

FIXED = ("source", "attack", "budget", "target", "norm", "relation")
NO_LABELS: Mapping[str, Any] = MappingProxyType({})


class Relation(StrEnum):
    """How a target relates to the source. White-box: the target is, or is a member of, the source."""

    WHITE_BOX = "white-box"
    BLACK_BOX = "black-box"


@dataclass(frozen=True, eq=False)
class Labels(Mapping[str, Any]):
    """The labels by which scores differ. As a mapping it holds the labels that are set: those of `FIXED`, then `extra`.

    `extra` has the options that attacks sweep and the labels that metrics add, such as `step`.
    """

    source: str | None = None
    attack: str | None = None
    budget: str | None = None
    target: str | None = None
    norm: str | None = None
    relation: Relation | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: NO_LABELS)

    @classmethod
    def of(cls, labels: Mapping[str, Any]) -> Labels:
        """Build labels from a mapping. Raises ValueError for an unknown relation."""
        relation = labels.get("relation")
        return cls(
            **{name: labels.get(name) for name in FIXED if name != "relation"},
            relation=None if relation is None else Relation(relation),
            extra={name: value for name, value in labels.items() if name not in FIXED},
        )

    def __getitem__(self, name: str) -> Any:
        value = getattr(self, name) if name in FIXED else self.extra[name]
        if value is None and name in FIXED:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in FIXED if getattr(self, name) is not None)
        yield from self.extra

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def matches(self, where: Mapping[str, Any]) -> bool:
        """Return whether every label of `where` is set here and has the same value as text."""
        return all(str(self.get(name)) == str(value) for name, value in where.items())

    def without(self, names: Collection[str]) -> Labels:
        """Return the labels except those named."""
        return Labels.of({name: value for name, value in self.items() if name not in names})

    def adding(self, labels: Mapping[str, Any]) -> Labels:
        """Return these labels and those of a metric. Raises ValueError where a metric's label is one of `FIXED`."""
        taken = sorted(set(labels) & set(FIXED))
        if taken:
            raise ValueError(f"a metric adds the label {', '.join(taken)}, which bench itself sets")
        return Labels.of({**self, **labels}) if labels else self
