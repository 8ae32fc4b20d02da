"""What a suite wants to come out: tables, plots, and scores that are derived from several others."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt
from pydantic import Field

from .fields import Label, Number, Strict

Labels = Annotated[list[Label], Field(min_length=1)]


class ReferenceTable(Strict):
    """Published values: a CSV file beside the suite, joined on its columns that are labels."""

    file: str
    value: str
    scale: Number = 1.0
    where: dict[str, str] = Field(default_factory=dict)


class TableTable(Strict):
    """`[[tables]]`: scores, pivoted."""

    name: Label
    rows: Labels
    columns: list[Label]
    value: Label
    title: str | None = None
    format: Literal["percent", "number"] = "number"
    best: Literal["max", "min"] | None = None
    mean: bool = False
    baseline: dict[Label, Label] = Field(default_factory=dict)
    where: dict[Label, Label | int] = Field(default_factory=dict)
    reference: ReferenceTable | None = None


class WorstCaseTable(Strict):
    """`[worst_case.LABEL]`: a row beside the attacks' that takes for each image the worst of them (all by default).

    The worst is the largest value, or with `take = "min"` the smallest.
    """

    value: Label
    attacks: Labels | None = None
    take: Literal["max", "min"] = "max"


class CorrelationTable(Strict):
    """`[correlations.LABEL]`: Pearson's r and the slope of two scores, a point for every attack."""

    x: Label
    y: Label
    where: dict[Label, Label | int] = Field(default_factory=dict)


class GateTable(Strict):
    """`[gate]`, a line a score: which direction is good, and how large a change for the worse is let pass.

    The margin is 0.01 (one percentage point) for a share of images, and 0 for any other mean, by default.
    """

    better: Literal["higher", "lower"]
    margin: Annotated[Number, Ge(0)] | None = None


class Plot(Strict):
    """`[[plots]]`: what all kinds have. `panels` are dimensions, each of whose labels gets its own axes."""

    name: Label
    value: Label
    title: str | None = None
    panels: Annotated[list[Label], Field(max_length=2)] = Field(default_factory=list)
    where: dict[Label, Label | int] = Field(default_factory=dict)

    @property
    def dimensions(self) -> list[str]:
        """Every label by which it tells scores apart."""
        return [*self.panels, *self.where]


class HeatmapPlot(Plot):
    """Scores as a matrix, the number in each field."""

    kind: Literal["heatmap"]
    rows: Labels = Field(default=["source"])
    columns: Labels = Field(default=["target"])
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.rows, *self.columns]


class CurvesPlot(Plot):
    """Scores against a numeric label with their bands; averaged over the black-box scores of `mean_over`, if given."""

    kind: Literal["curves"]
    x: Label = "step"
    lines: Labels = Field(default=["attack"])
    mean_over: list[Label] = Field(default_factory=list)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, self.x, *self.lines, *self.mean_over]


class SweepPlot(CurvesPlot):
    """Scores against an option that attacks sweep, with error bars."""

    kind: Literal["sweep"]  # type: ignore[assignment]
    x: Label
    lines: Labels = Field(default=["source"])


class ParetoPlot(Plot):
    """Scores against the passes that they cost, a line for each of `lines`, and the front that nothing is beyond.

    A score of every step (`transfer.at_step`) gives a curve, which stands at its last step at the whole cost.
    """

    kind: Literal["pareto"]
    lines: Labels = Field(default=["attack"])
    mean_over: list[Label] = Field(default_factory=list)
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines, *self.mean_over]


class StackedPlot(Plot):
    """Scores stacked on one another: a bar for each of `bars`, of a part for each of `parts`."""

    kind: Literal["stacked"]
    bars: Labels = Field(default=["source"])
    parts: Labels
    format: Literal["percent", "number"] = "number"

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.bars, *self.parts]


class ScatterPlot(Plot):
    """The points of a correlation (`value` names it) with the regression line, its 95% band, and r."""

    kind: Literal["scatter"]
    panels: Annotated[list[Label], Field(max_length=2)] = Field(default=["source", "target"])
    markers: list[Label] = Field(default_factory=list)

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.markers]


class HistogramPlot(Plot):
    """How a metric's rows (`value` is METRIC.ROW) are distributed, an outline for each of `lines`."""

    kind: Literal["histogram"]
    lines: Labels = Field(default=["attack"])
    bins: Annotated[int, Gt(0)] = 60

    @property
    def dimensions(self) -> list[str]:
        return [*super().dimensions, *self.lines]


class MapsPlot(Plot):
    """A metric's rows over the cells of the image (`value` is METRIC.ROW): the first images, and the mean of all."""

    kind: Literal["maps"]
    panels: Annotated[list[Label], Field(min_length=1, max_length=2)] = Field(default=["attack"])
    images: Annotated[int, Ge(0)] = 4


AnyPlot = Annotated[
    HeatmapPlot | CurvesPlot | SweepPlot | ParetoPlot | StackedPlot | ScatterPlot | HistogramPlot | MapsPlot,
    Field(discriminator="kind"),
]
