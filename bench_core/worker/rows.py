"""Checks the rows of metrics, and copies them to arrays on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ContractError

Arrays = dict[str, NDArray[Any]]

HELD = 2**26  # bytes of rows of one metric that stay on a GPU before they are copied


class StepRows:
    """The rows of a metric, step by step.

    Args:
        wait: Whether rows stay on the device until they are read, so that the host does not wait at every step.

    Attributes:
        steps: The rows of each step that are on the host.
    """

    def __init__(self, wait: bool) -> None:
        self.wait, self.held = wait, 0
        self.steps: list[Arrays] = []
        self.waiting: list[dict[str, Tensor]] = []

    def add(self, rows: Mapping[str, Tensor], count: int) -> None:
        """Add the rows of a step. Raises ContractError if a tensor does not have one row for each of `count` images."""
        check_counts(rows, count)
        if not self.wait:
            self.steps.append(as_arrays(rows))
            return
        # copies, since the metric may reuse its tensors
        self.waiting.append({name: row.detach().clone() for name, row in rows.items()})
        self.held += sum(row.nbytes for row in rows.values())
        if self.held > HELD:
            self.read()

    def read(self) -> list[Arrays]:
        """Copy the rows that are still on the device to the host, and return those of all steps."""
        self.steps += map(as_arrays, on_host(self.waiting))
        self.waiting, self.held = [], 0
        return self.steps


def on_host(steps: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Return the rows of some steps on the host, with one copy per name if all steps have the same shapes and types."""
    forms = {tuple((name, row.shape, row.dtype) for name, row in rows.items()) for rows in steps}
    if len(forms) != 1:
        return [{name: row.cpu() for name, row in rows.items()} for rows in steps]
    whole = {name: torch.stack([rows[name] for rows in steps]).cpu() for name in steps[0]}
    return [{name: rows[step] for name, rows in whole.items()} for step in range(len(steps))]


def checked_rows(rows: Mapping[str, Tensor], count: int) -> Arrays:
    """Convert rows to arrays. Raises ContractError if a tensor does not have one row for each of `count` images."""
    check_counts(rows, count)
    return as_arrays(rows)


def check_counts(rows: Mapping[str, Tensor], count: int) -> None:
    """Raise ContractError if a tensor does not have one row for each of `count` images."""
    for name, row in rows.items():
        if row.ndim == 0 or len(row) != count:
            raise ContractError(f'the metric\'s rows "{name}" have shape {tuple(row.shape)}, not {count} rows')


def as_arrays(rows: Mapping[str, Tensor]) -> Arrays:
    """Convert rows to arrays; non-negative integers below 2**15 become int16, to save space."""
    arrays = {}
    for name, row in rows.items():
        values = row.detach().cpu()
        small = values.dtype == torch.int64 and values.numel() and values.min() >= 0 and values.max() < 2**15
        arrays[name] = (values.to(torch.int16) if small else values).numpy().copy()
    return arrays
