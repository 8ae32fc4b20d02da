"""The labels of rows and scores: bench's own, and those that suites and metrics add."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

from ..reserved import SCORE_COLUMNS

FIXED = ("source", "attack", "budget", "target", "norm", "relation")
_TAKEN = frozenset((*FIXED, *SCORE_COLUMNS))
NO_LABELS: Mapping[str, Any] = MappingProxyType({})


class Relation(StrEnum):
    """How a target relates to the source. White-box: it shares weights with the source."""

    WHITE_BOX = "white-box"
    BLACK_BOX = "black-box"


@dataclass(frozen=True, eq=False)
class Labels(Mapping[str, Any]):
    """The labels by which scores differ. As a mapping it holds the labels that are set: those of `FIXED`, then `extra`.

    `extra` has what attacks and budgets sweep and the labels that metrics add, such as `step`.
    """

    source: str | None = None
    attack: str | None = None
    budget: str | None = None
    target: str | None = None
    norm: str | None = None
    relation: Relation | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: NO_LABELS)

    @cached_property
    def _by_name(self) -> Mapping[str, Any]:
        return {name: value for name in FIXED if (value := getattr(self, name)) is not None} | dict(self.extra)

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
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __hash__(self) -> int:
        return hash(frozenset(self._by_name.items()))

    def matches(self, where: Mapping[str, Any]) -> bool:
        """Return whether every label of `where` is set here and has the same value as text."""
        return all(str(self.get(name)) == str(value) for name, value in where.items())

    def without(self, names: Collection[str]) -> Labels:
        """Return the labels except those named."""
        return Labels.of({name: value for name, value in self.items() if name not in names})

    def adding(self, labels: Mapping[str, Any]) -> Labels:
        """Return these labels and those of a metric.

        Raises:
            ValueError: A metric's label is one of `FIXED`, a column of scores.jsonl, or an option that is swept.
        """
        if not labels:
            return self
        taken = sorted(labels.keys() & {*_TAKEN, *self.extra})
        if taken:
            raise ValueError(f"a metric adds the label {', '.join(taken)}, which bench itself sets")
        extra = {**self.extra, **labels}
        return Labels(self.source, self.attack, self.budget, self.target, self.norm, self.relation, extra)
