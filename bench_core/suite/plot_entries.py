"""The plots of a suite, `[[plots]]`: one class for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt
from pydantic import Field

from .fields import Label, Strict
from .outputs import LabelList


class BasePlotEntry(Strict):
    """`[[plots]]`: keys that all kinds of plot have.

    Attributes:
        name: The name of the plot, and of its files.
        kind: The kind of plot.
        value: What is drawn: a score, as METRIC.SCORE.
        title: The title. The suite's by default.
        panels: At most two labels of scores; each of their values has separate axes.
        where: Labels that scores must have to be drawn.
    """

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
    """A matrix of scores, with the number in each cell.

    Attributes:
        value_label: The name of the value in the plot, with its unit. METRIC.SCORE by default.
        rows: The labels of scores that distinguish the rows.
        columns: The labels of scores that distinguish the columns.
        baseline: Labels of the scores that others are compared with: draws the paired differences from them.
        format: How values are printed.
    """

    kind: Literal["heatmap"]
    value_label: str | None = None
    rows: LabelList = Field(default=["source"])
    columns: LabelList = Field(default=["target"])
    baseline: dict[Label, Label | int] = Field(default_factory=dict)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.baseline, *self.rows, *self.columns]


class CurvesPlotEntry(BasePlotEntry):
    """Scores with their intervals against a numeric label.

    Attributes:
        x_label: The name of the horizontal axis, with its unit. The label `x` by default.
        value_label: The name of the value in the plot, with its unit. METRIC.SCORE by default.
        x: A label of scores with numeric values, such as `step` or one that the metric adds.
        lines: The labels of scores that distinguish the lines.
        mean_over: Labels of scores to average over; of targets, only black-box ones count.
        baseline: Labels of the scores that others are compared with: draws the paired differences from them.
        format: How values are printed.
    """

    kind: Literal["curves"]
    x_label: str | None = None
    value_label: str | None = None
    x: Label = "step"
    lines: LabelList = Field(default=["attack"])
    mean_over: list[Label] = Field(default_factory=list)
    baseline: dict[Label, Label | int] = Field(default_factory=dict)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.baseline, self.x, *self.lines, *self.mean_over]


class SweepPlotEntry(CurvesPlotEntry):
    """Scores against an option that attacks sweep, with error bars.

    Attributes:
        x: The swept option.
    """

    kind: Literal["sweep"]  # type: ignore[assignment]
    x: Label
    lines: LabelList = Field(default=["source"])


class ParetoPlotEntry(BasePlotEntry):
    """Scores against their cost, one line per label of `lines`, and the Pareto front.

    The cost is that in passes, or how visible an attack is. A score per step (`transfer.at_step`) is drawn as a curve
    whose last step is at the full cost in passes.

    Attributes:
        cost: The score that is an attack's cost, as METRIC.SCORE. Its passes by default.
        cost_label: The name of the cost in the plot, with its unit. METRIC.SCORE by default.
        cost_best: Whether the lowest or the highest cost is the best: the highest of `ssim.mean`.
        value_label: The name of the value in the plot, with its unit. METRIC.SCORE by default.
        lines: The labels of scores that distinguish the lines.
        mean_over: Labels of scores to average over; of targets, only black-box ones count.
        format: How values are printed.
    """

    kind: Literal["pareto"]
    cost: Label | None = None
    cost_label: str | None = None
    cost_best: Literal["min", "max"] = "min"
    value_label: str | None = None
    lines: LabelList = Field(default=["attack"])
    mean_over: list[Label] = Field(default_factory=list)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines, *self.mean_over]


class StackedPlotEntry(BasePlotEntry):
    """Stacked bars of scores.

    Attributes:
        value_label: The name of the value in the plot, with its unit. METRIC.SCORE by default.
        bars: The labels of scores that distinguish the bars.
        parts: The labels of scores that distinguish the segments of a bar.
        format: How values are printed.
    """

    kind: Literal["stacked"]
    value_label: str | None = None
    bars: LabelList = Field(default=["source"])
    parts: LabelList
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.bars, *self.parts]


class ScatterPlotEntry(BasePlotEntry):
    """The points of a correlation, with the regression line, its 95% band, and r.

    `value` is the label of the correlation.

    Attributes:
        x_label: The name of the horizontal axis, with its unit. The correlation's `x` by default.
        y_label: The name of the vertical axis, with its unit. The correlation's `y` by default.
        markers: The labels of scores that distinguish the markers of points.
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
    """The distribution of the per-image values of a metric: `value` is METRIC.ROW.

    Attributes:
        value_label: The name of the value in the plot, with its unit. METRIC.ROW by default.
        lines: The labels of scores that distinguish the outlines.
        bins: The number of bins.
    """

    kind: Literal["histogram"]
    value_label: str | None = None
    lines: LabelList = Field(default=["attack"])
    bins: Annotated[int, Gt(0)] = 60

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines]


class DistancesPlotEntry(BasePlotEntry):
    """The share of images that each attack fools within a distance, and the share that any attack fools.

    `value` is the label of an entry of `[optimality]`. The curve of all attacks is that of its best distances.

    Attributes:
        x_label: The name of the horizontal axis, with its unit. The distance in the norm of the budgets by default.
        lines: The labels of scores that distinguish the attacks.
    """

    kind: Literal["distances"]
    x_label: str | None = None
    panels: Annotated[list[Label], Field(max_length=2)] = Field(default=["source"])
    lines: LabelList = Field(default=["attack"])

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines]


class MapsPlotEntry(BasePlotEntry):
    """Maps of a metric's rows over the cells of an image: the first images, and the mean. `value` is METRIC.ROW.

    Attributes:
        value_label: The name of the value in the plot, with its unit. METRIC.ROW by default.
        images: The number of images whose maps are drawn beside the mean.
    """

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
    | DistancesPlotEntry
    | MapsPlotEntry,
    Field(discriminator="kind"),
]
