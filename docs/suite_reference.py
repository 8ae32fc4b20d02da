"""Print docs/suite-reference.md, the reference of all keys of a suite, from the schema.

    python docs/suite_reference.py > docs/suite-reference.md

Types and defaults are those of the models in `bench_core/suite`, and meanings are in their docstrings. The examples
are in `suite_examples.py`; `tests/docs/test_suite_reference.py` validates them.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from typing import Annotated, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bench_core.suite.annotations import is_table, type_name
from bench_core.suite.budget import BudgetEntry
from bench_core.suite.decide import DecideEntry
from bench_core.suite.exchange import GivenEntry, KeepEntry
from bench_core.suite.load import SET_BY_LOADING
from bench_core.suite.model import (
    AttackEntry,
    ComputeEntry,
    DataEntry,
    ImagesEntry,
    MetricEntry,
    ModelEntry,
    Suite,
)
from bench_core.suite.outputs import (
    CorrelationEntry,
    CurveEntry,
    GateEntry,
    OptimalityEntry,
    ReferenceEntry,
    TableEntry,
    WorstCaseEntry,
)
from bench_core.suite.plot_entries import BasePlotEntry, PlotEntry
from suite_examples import EXAMPLES, Table

PLOTS: tuple[Table, ...] = typing.get_args(typing.get_args(PlotEntry)[0])

HEAD = """# Reference of suites

`python docs/suite_reference.py > docs/suite-reference.md` writes this page from the schema that bench validates suites
with. [suites.md](suites.md) introduces suites, and explains in which order settings override each other.

Numbers (`float`) can be written as arithmetic in a string: `"16/255"`, `"16*sqrt(784)/255"`. Labels are texts of 1 to
120 characters. *Labels of scores* are `source`, `attack`, `budget`, `norm`, `target`, `relation` (`black-box` or
`white-box`), swept options, and those that metrics add, such as `order` or `step`. METRIC.SCORE is the label of a
metric and the name of one of its scores. Options of recipes are not on this page: `bench plugins attacks NAME` lists
them, and so for `metrics`, `models` and `datasets`.

## The whole suite

Two keys are read before all others:

| key | type | default | meaning | example |
|---|---|---|---|---|
| `profiles` | list of str | required | The profiles; the first is the default. | `profiles = ["embedded"]` |
| `on` | table | none | `[on.PROFILE]`: the keys of one profile. | `on.embedded = { loss = "margin" }` |

These are the keys of the suite, and of `[on.PROFILE]`:
"""

# the name of each table on the page, in order; the plots follow
TABLES: dict[Table, str] = {
    BudgetEntry: "[budgets.LABEL]",
    AttackEntry: "[attacks.LABEL]",
    GivenEntry: "[given.LABEL]",
    MetricEntry: "[metrics.LABEL]",
    ModelEntry: "[models.LABEL]",
    DataEntry: "[data]",
    ImagesEntry: "[images]",
    ComputeEntry: "[compute]",
    KeepEntry: "[keep]",
    WorstCaseEntry: "[worst_case.LABEL]",
    CorrelationEntry: "[correlations.LABEL]",
    CurveEntry: "[security_curves.LABEL]",
    OptimalityEntry: "[optimality.LABEL]",
    TableEntry: "[[tables]]",
    ReferenceEntry: "[tables.reference]",
    GateEntry: "[gate]",
    DecideEntry: "[decide]",
    BasePlotEntry: "[[plots]]",
}


def meanings(table: Table) -> dict[str, str]:
    """Return the meaning of each key, from the `Attributes` of the class's docstring and of its bases'."""
    found: dict[str, str] = {}
    ours = [cls for cls in table.__mro__ if issubclass(cls, BaseModel) and cls is not BaseModel]
    for cls in reversed(ours):
        section = (inspect.cleandoc(cls.__doc__ or "")).partition("Attributes:\n")[2]
        for key, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE):
            found[key] = " ".join(text.split())
    return found


def example(table: Table, key: str) -> str:
    """Return the example of a key as TOML. Raises KeyError if there is none."""
    if key == "kind" and issubclass(table, BasePlotEntry):
        return f'"{kind(table)}"'
    return next(EXAMPLES[cls][key] for cls in table.__mro__ if key in EXAMPLES.get(cls, {}))


def kind(plot: Table) -> str:
    """Return the name of a kind of plot."""
    (name,) = typing.get_args(plot.model_fields["kind"].annotation)
    return str(name)


def keys(table: Table) -> list[str]:
    """Return the keys that a user can set; of a kind of plot, those that it adds to or changes in all plots."""
    if table is Suite:
        return [key for key in Suite.model_fields if key not in SET_BY_LOADING]
    if table in PLOTS:
        common = BasePlotEntry.model_fields
        return [k for k, field in table.model_fields.items() if k not in common or default(field) != default(common[k])]
    return list(table.model_fields)


def default(field: FieldInfo) -> str:
    """Return the default of a key as TOML; "required" or "none" if it has no value."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ([], {}):
        return "none"
    if isinstance(value, BaseModel):
        return f"`{{ {', '.join(f'{name} = {json.dumps(entry)}' for name, entry in value)} }}`"
    return f"`{json.dumps(value)}`"


def kind_of(field: FieldInfo) -> str:
    """Return the type of a key, with a link to the section of the tables that it holds."""
    tables = [table for table in _within(field.annotation) if is_table(table)]
    if tables:
        name = "[[plots]]" if tables[0] in PLOTS else TABLES[tables[0]]
        return f"[`{name}`](#{anchor(name)})"
    bounded = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    members = [member for member in _members(bounded) if member is not types.NoneType]
    return cell(" or ".join(map(type_name, members)))


def _members(annotation: Any) -> list[Any]:
    inner = typing.get_args(annotation)
    return list(inner) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else [annotation]


def _within(annotation: Any) -> list[Any]:
    return [annotation, *(found for inner in typing.get_args(annotation) for found in _within(inner))]


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def cell(text: str) -> str:
    return text.replace("|", r"\|")


def rows(table: Table) -> list[str]:
    """Return the lines of the Markdown table of a class's keys."""
    known = meanings(table)
    lines = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
    for key in keys(table):
        field = table.model_fields[key]
        shown = f"`{key} = {cell(example(table, key))}`"
        lines.append(f"| `{key}` | {kind_of(field)} | {cell(default(field))} | {cell(known[key])} | {shown} |")
    return lines


def prose(table: Table) -> str:
    """Return the description of a class: its docstring without the name of the table and the attributes."""
    text = inspect.cleandoc(table.__doc__ or "").partition("\nAttributes:")[0].strip()
    text = re.sub(r"^`\[+[\w.]+\]+`: ", "", text)
    return text[0].upper() + text[1:]


def page() -> str:
    """Return the page."""
    lines = [HEAD, *rows(Suite)]
    for table, name in TABLES.items():
        lines += ["", f"## `{name}`", "", prose(table), "", *rows(table)]
    for plot in PLOTS:
        lines += ["", f'### `kind = "{kind(plot)}"`', "", prose(plot), "", *rows(plot)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
