"""`[decide]`: which comparisons of a suite are to be decided, and when a run that stops when they are may stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator, ValidationError

from ..errors import Fault, UsageError, did_you_mean
from .faults import faults_of
from .fields import Label, Number, Strict, number
from .outputs import TableEntry

if TYPE_CHECKING:
    from .model import Suite

DECIDED: Literal["decided"] = "decided"  # the only value of `--until`
POINT = "pt"
NO_TABLE = 'no table has a baseline and format = "percent", so there is no comparison to decide'


def points(value: Any) -> Any:
    """Evaluate percentage points such as "1pt" as a share, and arithmetic; return any other type unchanged.

    Raises ValueError if a text is neither.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return number(text.removesuffix(POINT)) / 100 if text.endswith(POINT) else number(text)
    except ValueError:
        raise ValueError(f'found "{value[:60]}", which is not a margin (try 1pt, 0.01)') from None


class DecideEntry(Strict):
    """`[decide]`: every row of a table that has a baseline is a comparison, which is decided, tied or undecided.

    Attributes:
        table: The table, whose values are shares. By default the first with `baseline` and `format = "percent"`.
        alpha: The probability that any comparison without a difference is ever decided, at most.
        margin: Two rows are tied if their difference is certainly smaller than this; percentage points as "1pt".
        fewest: The number of images before which no comparison ends.
    """

    table: Label | None = None
    alpha: Annotated[Number, Gt(0), Le(0.5)] = 0.05
    margin: Annotated[float, BeforeValidator(points), Gt(0), Lt(1)] = 0.01
    fewest: Annotated[int, Ge(1)] = 50


def decided_table(decide: DecideEntry, tables: Sequence[TableEntry]) -> TableEntry | None:
    """Return the table whose comparisons are to be decided; None if there is none."""
    if decide.table is not None:
        return next((table for table in tables if table.name == decide.table), None)
    return next((table for table in tables if _of_shares(table)), None)


def _of_shares(table: TableEntry) -> bool:
    return bool(table.baseline) and table.format == "percent"


def decide_faults(decide: DecideEntry, tables: Sequence[TableEntry]) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each mistake in `[decide]`."""
    suited = [table.name for table in tables if _of_shares(table)]
    table = decided_table(decide, tables)
    if table is None and decide.table is None:
        yield "decide", NO_TABLE
    elif table is None:
        yield "decide.table", f'no table "{decide.table}" {did_you_mean(str(decide.table), suited)}'
    elif not _of_shares(table):
        missing = "no baseline" if not table.baseline else 'not format = "percent": only shares can be decided'
        hint = f" (try {', '.join(suited)})" if suited else ""
        yield "decide.table", f'"{table.name}" has {missing}{hint}'


def with_decision(suite: Suite, until: str | None, alpha: float | None, margin: float | str | None) -> Suite:
    """Return a suite whose comparisons are decided.

    Args:
        suite: The suite.
        until: "decided", or None for a suite as it is.
        alpha: In place of the suite's own `decide.alpha`; None to keep it.
        margin: In place of `decide.margin`, a share or a text such as "1pt"; None to keep it.

    Raises:
        UsageError: An option is wrong, or the suite has nothing to decide.
    """
    if until not in (None, DECIDED):
        raise UsageError(Fault("--until", "", f'found "{until}", expected {DECIDED}'))
    given = {name: value for name, value in (("alpha", alpha), ("margin", margin)) if value is not None}
    if until is None and suite.decide is None:
        faults = [Fault(f"--{name}", "", f"needs --until {DECIDED}, or [decide] in the suite") for name in given]
        if faults:
            raise UsageError(*faults)
        return suite
    checked = {name: _checked(name, value) for name, value in given.items()}
    decide = (suite.decide or DecideEntry()).model_copy(update=checked)
    if decided_table(decide, suite.tables) is None and decide.table is None:
        raise UsageError(Fault(suite.file, f"--until {DECIDED}", NO_TABLE))
    keys = tuple(f"decide.{name}=" for name in given)
    kept = [text for text in suite.overrides if not text.startswith(keys)]
    overrides = [*kept, *(f"decide.{name}={value!r}" for name, value in checked.items())]
    return suite.model_copy(update={"decide": decide, "overrides": overrides})


def _checked(name: str, value: float | str) -> float:
    """Return the value of an option as `[decide]` reads it. Raises UsageError if it is wrong."""
    try:
        return float(getattr(DecideEntry.model_validate({name: value}), name))
    except ValidationError as error:
        messages = [fault.message for fault in faults_of(error, DecideEntry, "")]
        raise UsageError(*(Fault(f"--{name}", "", message) for message in messages)) from None
