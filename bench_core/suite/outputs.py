"""The outputs of a suite: tables, the gate, and scores that are derived from other scores."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import BeforeValidator, Field

from .fields import Label, Number, Strict

# the keys of a suite that show or derive scores, without a value: for a suite that computes only a part of another
NO_OUTPUTS: Mapping[str, Any] = MappingProxyType({
    "worst_case": {}, "correlations": {}, "security_curves": {}, "optimality": {},
    "tables": [], "plots": [], "gate": {}, "decide": None,
})  # fmt: skip
LabelList = Annotated[list[Label], Field(min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# the images of an attack that count: those that reached its goal, those that fool its source, or those that do both
Only = Annotated[list[Literal["attack.reached", "attack.fooled"]], BeforeValidator(_listed)]


class ReferenceEntry(Strict):
    """`[tables.reference]`: published values, shown in brackets beside those of the run.

    They come from a CSV file. A line belongs to a cell if its columns that are labels of scores have the cell's labels.

    Attributes:
        file: The CSV file, relative to the folder of the suite.
        value: The column that has the values.
        scale: The factor that brings the values to the unit of the scores.
        where: The text that columns must have for a line to be used.
        note: A line below the table, such as how the published values were measured in another way.
    """

    file: str
    value: str
    scale: Number = 1.0
    where: dict[str, str] = Field(default_factory=dict)
    note: Annotated[str, Field(min_length=1)] | None = None


class TableEntry(Strict):
    """`[[tables]]`: a pivot table of scores.

    Attributes:
        name: The name of the table, and of its files.
        rows: The labels of scores that distinguish the rows.
        columns: The labels of scores that distinguish the columns; an empty list for a single column.
        value: The score, as METRIC.SCORE or CORRELATION.SCORE.
        title: The title. The suite's by default.
        format: How values are printed.
        best: Whether the largest or the smallest value is the best, which is printed in bold.
        mean: Whether there is a column with the mean over the black-box targets.
        baseline: Labels of the rows that others are compared with: adds a column with the paired difference of means.
        where: Labels that scores must have to be in the table.
        only: The outcomes that an attack must have had on an image for the image to count: that it reached its goal,
            that it fools its source, or both. A note gives the number of images; fewer than 5 are void. All images by
            default. `bench query` has these scores too, with the outcomes in the column `subset`.
        reference: Published values to show beside those of the run.
        value_label: The heading of the values in a table without `columns`. METRIC.SCORE by default.
    """

    name: Label
    rows: LabelList
    columns: list[Label]
    value: Label
    title: str | None = None
    format: Literal["percent", "number"] = "number"
    best: Literal["max", "min"] | None = None
    mean: bool = False
    baseline: dict[Label, Label] = Field(default_factory=dict)
    where: dict[Label, Label | int] = Field(default_factory=dict)
    only: Only = Field(default_factory=list)
    reference: ReferenceEntry | None = None
    value_label: Label | None = None


class WorstCaseEntry(Strict):
    """`[worst_case.LABEL]`: an additional row beside the attacks, with the worst value of each image over them.

    Attributes:
        value: The score, as METRIC.SCORE.
        attacks: The attacks. By default those of the budget. There is no row under a budget that is not used for all of
            the attacks named here.
        take: Whether the worst value is the largest or the smallest.
    """

    value: Label
    attacks: LabelList | None = None
    take: Literal["max", "min"] = "max"


class CorrelationEntry(Strict):
    """`[correlations.LABEL]`: Pearson's r and the regression slope of two scores, with one point per attack.

    Tables show them as LABEL.pearson and LABEL.slope.

    Attributes:
        x: The first score, as METRIC.SCORE.
        y: The second score.
        where: Labels that scores must have to be points.
    """

    x: Label
    y: Label
    where: dict[Label, Label | int] = Field(default_factory=dict)


class CurveEntry(Strict):
    """`[security_curves.LABEL]`: a score's curve against eps, over the budgets of each sweep of eps.

    An image counts at an eps with the worst value that the attack reached at this or a smaller eps of the sweep, since
    an attack with the larger eps could have returned the same image. So the curve is monotone for every image. Tables
    and plots show LABEL.worst for each eps; LABEL.area, the area under the curve divided by the largest eps; and
    LABEL.half_eps, the eps at which half of the images are fooled, interpolated between those of the sweep.

    Attributes:
        value: The score, as METRIC.SCORE, with values from 0 to 1 for each image, such as `transfer.success`.
        take: Whether the worst value is the largest or the smallest. The curve begins at the best value, 0 or 1, with
            eps 0, unless the sweep has an eps of 0 itself.
    """

    value: Label
    take: Literal["max", "min"] = "max"


class OptimalityEntry(Strict):
    """`[optimality.LABEL]`: how near each attack comes to the best one on each image, as AttackBench defines it.

    The best distance of an image is the smallest that any attack of the run reached on this network in this norm. With
    `store`, the attacks of other runs in the results folder count too. Tables can show three scores. LABEL.gap is the
    area between an attack's curve of robust accuracy against eps and that of the best distances, up to the budget's
    eps, in units of the norm. LABEL.local is 1 minus that area divided by the area of an attack that fools nothing, up
    to the largest best distance, so that 1 is the best on every image. LABEL.global is the mean of LABEL.local over
    networks, and has neither source nor target.

    Attributes:
        value: The rows with the distance of each image, as METRIC.ROW, such as those of `fooling_distance`. Where the
            metric has an option `norm`, only budgets of this norm count.
        store: Whether other runs in the results folder that attacked the same images on the same networks count too.
            The run keeps their distances and names the runs, so that later runs do not change it.
    """

    value: Label
    store: bool = False


class GateEntry(Strict):
    """`[gate]`: one line per score, `"METRIC.SCORE" = { better = "higher" }`.

    Attributes:
        better: Which direction is an improvement.
        margin: The largest deterioration that passes; by default 0.01 (one percentage point) for a share of
            images and 0 for any other mean.
    """

    better: Literal["higher", "lower"]
    margin: Annotated[Number, Ge(0)] | None = None
