"""A pivoted table as data: made from a suite's `[[tables]]` entry, and rendered by every format."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TableCell:
    """One value of a table.

    Attributes:
        value: The number; NaN in a void or empty cell.
        low: The lower bound of the 95% interval; NaN if there is none.
        high: The upper bound of the 95% interval.
        n: The number of images behind the value.
        white_box: Whether the target shares weights with the source.
        best: Whether the value is the best of its group of rows.
        reference: The published value, if there is one.
        void: The reason why there is no value; None in all other cells.
        signed: Whether the value is a difference, which is printed with its sign.
        decision: Whether a difference is decided, as text; None where that is not asked.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    white_box: bool = False
    best: bool = False
    reference: float | None = None
    void: str | None = None
    signed: bool = False
    decision: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows of labels and cells.

    Attributes:
        name: The table's name in its suite.
        title: Its caption.
        header: The names of the label columns, then of the value columns.
        dimensions: The number of label columns.
        rows: The labels and the cells of each row.
        percent: Whether all values are shares, to be printed in per cent.
        notes: The lines below the table.
        over: What a row's difference from its baseline is the mean of, as text; "" if it is of a single column.
    """

    name: str
    title: str
    header: tuple[str, ...]
    dimensions: int
    rows: tuple[tuple[tuple[str, ...], tuple[TableCell, ...]], ...]
    percent: bool
    notes: tuple[str, ...]
    over: str = ""

    @property
    def compared(self) -> str:
        """The heading of the comparisons with the baseline."""
        over = f" over {self.over}" if self.over else ""
        unit = ", in percentage points" if self.percent else ""
        return f"{self.title}: {self.header[-1]}{over}{unit}, with 95% intervals"
