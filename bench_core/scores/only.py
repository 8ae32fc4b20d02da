"""Restricts the rows of an attack to the images with a recorded outcome, such as those that reached its goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..reserved import RECORD
from .rows import Arrays, RowSet
from .warnings import Attacked, attacked

FEWEST = 5  # images: a bootstrap interval of fewer is far too narrow, and that of one image has no width


class Outcomes:
    """What the host recorded of every attack: the images that reached its goal, and those that fooled its source."""

    def __init__(self, rows: Sequence[RowSet]) -> None:
        self.records: Mapping[Attacked, RowSet] = {attacked(row.labels): row for row in rows if row.metric == RECORD}

    def admitted(self, key: Attacked, only: Sequence[str]) -> NDArray[np.intp]:
        """Return the images with all outcomes `only`, as positions in the run's list of attacked images.

        Args:
            key: Source, attack and budget.
            only: Names of outcomes, `attack.reached` or `attack.fooled`.

        Raises:
            ValueError: The attack is void, or does not record an outcome; the message is the reason in one line.
        """
        record = self.records.get(key)
        if record is None or record.void:
            raise ValueError(
                record.void if record and record.void else f"{' and '.join(only)} is known of attacks only"
            )
        known = with_outcomes(record.arrays)
        counted = np.ones(len(record.images), dtype=bool)
        for name in only:
            outcome = known.get(name.removeprefix(f"{RECORD}."))
            if outcome is None:
                raise ValueError(f"{key[1]} has no goal of its own, and so no {name} (try attack.fooled)")
            counted &= outcome.astype(bool)
        return record.images.indices[counted]

    def restricted(self, row: RowSet, only: Sequence[str]) -> RowSet:
        """Return the part of some rows that is of the images with all outcomes `only`; void if fewer than `FEWEST`."""
        if not only or row.void:
            return row
        try:
            admitted = self.admitted(attacked(row.labels), only)
        except ValueError as error:
            return replace(row, arrays={}, images=row.images.take([]), void=str(error))
        counted = np.isin(row.images.indices, admitted)
        if counted.sum() < FEWEST:
            found = f"found {counted.sum()} images with {' and '.join(only)}, expected {FEWEST} or more"
            return replace(row, arrays={}, images=row.images.take([]), void=found)
        arrays = {name: array[counted] for name, array in row.arrays.items()}
        return replace(row, arrays=arrays, images=row.images.take(counted))

    def counts(self, key: Attacked, only: Sequence[str]) -> str:
        """Return how many of the attacked images have all outcomes `only`, as text; or why that is unknown."""
        source, attack, budget = key
        try:
            found = f"{len(self.admitted(key, only))} of {len(self.records[key].images)}"
        except ValueError as error:
            found = str(error)
        return f"{attack} on {source}, {budget} ({found})"


def with_outcomes(arrays: Arrays) -> Arrays:
    """Add `fooled` [n] to what was recorded of an attack: whether the last images fool its source."""
    return {**arrays, "fooled": arrays["margin"] > 0} if "margin" in arrays else arrays
