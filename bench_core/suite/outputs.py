"""The outputs of a suite: tables, plots, the gate, and scores that are derived from other scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, Field

from .fields import Label, Number, Strict

LabelList = Annotated[list[Label], Field(min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# the images of an attack that count: those that reached its goal, those that fool its source, or those that do both
Only = Annotated[list[Literal["attack.reached", "attack.fooled"]], BeforeValidator(_listed)]


class ReferenceEntry(Strict):
    """Published values: a CSV file in the suite's folder, joined on the columns that are labels."""

    file: str
    value: str
    scale: Number = 1.0
    where: dict[str, str] = Field(default_factory=dict)


class TableEntry(Strict):
    """`[[tables]]`: a pivot table of scores; with `only`, of the images of each attack that have these outcomes."""

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


class WorstCaseEntry(Strict):
    """`[worst_case.LABEL]`: a score of the worst value per image over several attacks (by default all).

    The worst value is the largest, or the smallest with `take = "min"`.
    """

    value: Label
    attacks: LabelList | None = None
    take: Literal["max", "min"] = "max"


class CorrelationEntry(Strict):
    """`[correlations.LABEL]`: Pearson's r and the regression slope of two scores, with one point per attack."""

    x: Label
    y: Label
    where: dict[Label, Label | int] = Field(default_factory=dict)


class GateEntry(Strict):
    """`[gate]`: one line per score.

    Attributes:
        better: Which direction is an improvement.
        margin: The largest deterioration that passes; by default 0.01 (one percentage point) for a share of
            images and 0 for any other mean.
    """

    better: Literal["higher", "lower"]
    margin: Annotated[Number, Ge(0)] | None = None


class BasePlotEntry(Strict):
    """`[[plots]]`: keys that all kinds of plot have. Each label of the dimensions `panels` has separate axes."""

    name: Label
    value: Label
    title: str | None = None
    panels: Annotated[list[Label], Field(max_length=2)] = Field(default_factory=list)
    where: dict[Label, Label | int] = Field(default_factory=dict)

    @property
    def dimensions(self) -> list[str]:
        """The dimensions that the plot uses."""
        return [*self.panels, *self.where]


class HeatmapPlotEntry(BasePlotEntry):
    """A matrix of scores, with the number in each cell. `value_label` names the value in the plot, with its unit."""

    kind: Literal["heatmap"]
    value_label: str | None = None
    rows: LabelList = Field(default=["source"])
    columns: LabelList = Field(default=["target"])
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.rows, *self.columns]


class CurvesPlotEntry(BasePlotEntry):
    """Scores with their intervals against a numeric label; means over the black-box scores of `mean_over`, if given.

    `x_label` and `value_label` name the axes, with their units.
    """

    kind: Literal["curves"]
    x_label: str | None = None
    value_label: str | None = None
    x: Label = "step"
    lines: LabelList = Field(default=["attack"])
    mean_over: list[Label] = Field(default_factory=list)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, self.x, *self.lines, *self.mean_over]


class SweepPlotEntry(CurvesPlotEntry):
    """Scores against an option that attacks sweep, with error bars."""

    kind: Literal["sweep"]  # type: ignore[assignment]
    x: Label
    lines: LabelList = Field(default=["source"])


class ParetoPlotEntry(BasePlotEntry):
    """Scores against their cost in passes, one line per label of `lines`, and the Pareto front.

    A score per step (`transfer.at_step`) is drawn as a curve whose last step is at the full cost.
    """

    kind: Literal["pareto"]
    value_label: str | None = None
    lines: LabelList = Field(default=["attack"])
    mean_over: list[Label] = Field(default_factory=list)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines, *self.mean_over]


class StackedPlotEntry(BasePlotEntry):
    """Stacked bars of scores: one bar per label of `bars`, made of one segment per label of `parts`."""

    kind: Literal["stacked"]
    value_label: str | None = None
    bars: LabelList = Field(default=["source"])
    parts: LabelList
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.bars, *self.parts]


class ScatterPlotEntry(BasePlotEntry):
    """The points of the correlation that `value` names, with the regression line, its 95% band, and r.

    `x_label` and `y_label` name the axes, with their units.
    """

    kind: Literal["scatter"]
    x_label: str | None = None
    y_label: str | None = None
    panels: Annotated[list[Label], Field(max_length=2)] = Field(default=["source", "target"])
    markers: list[Label] = Field(default_factory=list)

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.markers]


class HistogramPlotEntry(BasePlotEntry):
    """The distribution of a metric's rows (`value` is METRIC.ROW), one outline per label of `lines`."""

    kind: Literal["histogram"]
    value_label: str | None = None
    lines: LabelList = Field(default=["attack"])
    bins: Annotated[int, Gt(0)] = 60

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines]


class MapsPlotEntry(BasePlotEntry):
    """Maps of a metric's rows over the cells of an image (`value` is METRIC.ROW): the first images and the mean."""

    kind: Literal["maps"]
    value_label: str | None = None
    panels: Annotated[list[Label], Field(min_length=1, max_length=2)] = Field(default=["attack"])
    images: Annotated[int, Ge(0)] = 4


PlotEntry = Annotated[
    HeatmapPlotEntry
    | CurvesPlotEntry
    | SweepPlotEntry
    | ParetoPlotEntry
    | StackedPlotEntry
    | ScatterPlotEntry
    | HistogramPlotEntry
    | MapsPlotEntry,
    Field(discriminator="kind"),
]
