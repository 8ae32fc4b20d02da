"""The tables of a suite, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..reserved import SCORE_COLUMNS
from ..types import LossName
from .budget import BudgetEntry
from .decide import DecideEntry
from .exchange import GivenEntry, KeepEntry
from .fields import Label, Number, Strict
from .outputs import CorrelationEntry, CurveEntry, GateEntry, Only, OptimalityEntry, TableEntry, WorstCaseEntry
from .plot_entries import PlotEntry

SourceName = Label | Annotated[list[Label], Field(min_length=1)]
COMMON_DIMENSIONS = ("source", "attack", "budget", "norm", "target", "relation")  # of all scores
CATEGORY = "category"  # of the scores of attacks that have one
ENSEMBLE_MARK = "+"


class Open(BaseModel):
    """A table whose additional keys are options of the recipe or the kind that it names."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class AttackEntry(Open):
    """`[attacks.LABEL]`: an attack. All further keys are options of the recipe.

    Attributes:
        recipe: The name of the recipe. An attack has either `recipe` or `parts`.
        parts: The names of recipes that are combined in one attack; it has the options of all of them.
        category: A label of its scores, by which tables and plots can choose attacks.
        by_source: Options that differ for a source, by its label; that of an ensemble joins its members by `+`.
        sweep: Lists of values by option. It stands for one attack for each combination of values, and each swept option
            becomes a label of the scores.
    """

    recipe: str | None = None
    parts: list[str] | None = None
    category: Label | None = None
    by_source: dict[Label, dict[str, Any]] = Field(default_factory=dict)
    # in a loaded suite, one value for each option: each attack of a sweep is an attack of its own
    sweep: dict[Label, Annotated[list[int | float | str], Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def one_of_two(self) -> AttackEntry:
        if (self.recipe is None) == (self.parts is None):
            raise ValueError('found both or neither of "recipe" and "parts", expected one')
        return self

    @model_validator(mode="after")
    def swept_once(self) -> AttackEntry:
        given = {*super().options, *(option for options in self.by_source.values() for option in options)}
        for option in self.sweep:
            if option in given or option in (*COMMON_DIMENSIONS, CATEGORY):
                raise ValueError(
                    f'found "{option}" in the sweep, but it is also given as an option, or is a dimension of all scores'
                )
            if option in SCORE_COLUMNS:
                hint = "(try an attack for each value)"
                raise ValueError(f'found "{option}" in the sweep, but scores have a column of that name {hint}')
        return self

    @property
    def swept(self) -> dict[str, str]:
        """The swept options with their values as text: labels that distinguish the attacks of a sweep."""
        return {option: str(values[0]) for option, values in self.sweep.items()}

    @property
    def labels(self) -> dict[str, str]:
        """What follows from the attack and is a label of its scores: its category and swept options."""
        return {**({} if self.category is None else {CATEGORY: self.category}), **self.swept}

    @property
    def options(self) -> dict[str, Any]:
        return super().options | {option: values[0] for option, values in self.sweep.items()}


class RecipeEntry(Open):
    """An entry of `[metrics]` or `[models]`.

    Attributes:
        recipe: The name of the recipe.
    """

    recipe: str


class ModelEntry(RecipeEntry):
    """`[models.LABEL]`: a network. All further keys are options of the recipe.

    Attributes:
        expected_accuracy: The accuracy on all clean images of the dataset. A run stops if the network's differs.
    """

    expected_accuracy: Annotated[Number, Ge(0), Le(1)] | None = None


class MetricEntry(RecipeEntry):
    """`[metrics.LABEL]`: a metric. All further keys are options of the recipe.

    Attributes:
        over: The images that a metric without an attack observes; metrics on attacks observe the selected images.
        models: The models that a metric without an attack observes. By default these are all models of the suite over
            all images, and the targets over the selected images.
        only: The outcomes that an attack must have had on an image for the image to count; all images by default.
    """

    over: Literal["all", "selected"] = "all"
    models: list[Label] | None = None
    only: Only = Field(default_factory=list)


class DataEntry(Open):
    """`[data]`: the dataset. All further keys are options of its kind.

    Attributes:
        kind: The name of the kind of dataset.
    """

    kind: str


class ImagesEntry(Strict):
    """`[images]`: the images of the dataset that are attacked.

    Attributes:
        count: The largest number of images.
        rule: The images that are selected: those that `models` classify correctly, or all. With `correct_by_target`
            all are selected, and each target is scored on those that it classifies correctly.
        models: The models that must classify an image correctly under the rule `correct_by_all`: labels, or `sources`,
            or `all` models of the suite, the default. Suites with different models attack the same images if they name
            the same models here. A target that is not among them may misclassify an image before any attack.
        digest: The digest of the list of selected images; a run stops if it selects other images.
    """

    count: Annotated[int, Gt(0)]
    rule: Literal["correct_by_all", "correct_by_target", "all"] = "correct_by_all"
    models: list[Label] | Literal["sources", "all"] | None = None
    digest: str | None = None


class ComputeEntry(Strict):
    """`[compute]`: how the images are divided into jobs.

    Attributes:
        micro_batch: The number of images of a job. The cache address of a result depends on it, because the last bits
            of a result may.
        together: The number of images that an attack computes as one batch, in whole micro-batches. Those images are
            part of the address. By default a CPU takes one micro-batch, and a GPU as many as fill it.
    """

    micro_batch: Annotated[int, Gt(0)] = 32
    together: Annotated[int, Gt(0)] | None = None


class Suite(Strict):
    """A suite with its profile and overrides merged. `suite.load.load_suite` returns one.

    Attributes:
        name: The name of the file, without its suffix.
        file: The path of the file.
        profile: The profile that was loaded.
        overrides: The overrides that were merged, as `KEY=VALUE`.
        title: The title of the suite, and of its tables that have none.
        seed: The seed of all random numbers.
        loss: The loss that all attacks ascend.
        random_start: Whether all attacks start at the same random point of the ball instead of the image.
        targeted: Whether attacks aim at a class: the one that the dataset names, or else a random wrong one.
        quantise: Whether adversarial images are rounded to what a file of 8 bits holds, inside the ball, before
            they are checked, evaluated and shown.
        ensemble: What an ensemble averages over its members.
        budgets: The threat models, by label.
        attacks: The attacks, by label.
        given: Images that were attacked elsewhere, by label.
        metrics: The metrics, by label.
        models: The networks, by label ([models.md](models.md)). A profile file usually defines them.
        data: The dataset. A profile file usually defines it.
        images: The images that are attacked.
        compute: How the images are divided into jobs.
        keep: The adversarial images that are kept in the store.
        sources: The labels of the networks that are attacked. An inner list is an ensemble.
        targets: The labels of the networks that metrics evaluate on the adversarial images.
        worst_case: Additional rows with the worst value over attacks, by label.
        correlations: Correlations of two scores, by label.
        security_curves: Summaries of a score's curve against eps, by label.
        optimality: How near each attack comes to the best one on each image, by label.
        tables: The tables that a run prints. The first is the main table.
        plots: The plots that `--plots` draws.
        gate: The scores that `bench compare` tests, by METRIC.SCORE ([ci.md](ci.md)). By default those of tables with
            `best`.
        decide: When the comparisons of a table with its baseline are decided. `bench run --until decided` stops then
            ([suites.md](suites.md#a-run-that-stops-when-it-is-decided)).
    """

    name: str
    file: str
    profile: str
    overrides: list[str] = Field(default_factory=list)
    title: str
    seed: int = 0
    loss: LossName = "cross_entropy"
    random_start: bool = False
    targeted: bool = False
    quantise: bool = False
    ensemble: Literal["logits", "probabilities", "losses"] = "logits"
    budgets: dict[Label, BudgetEntry] = Field(default_factory=dict)
    attacks: dict[Label, AttackEntry] = Field(default_factory=dict)
    given: dict[Label, GivenEntry] = Field(default_factory=dict)
    metrics: Annotated[dict[Label, MetricEntry], Field(min_length=1)]
    models: Annotated[dict[Label, ModelEntry], Field(min_length=1)]
    data: DataEntry
    images: ImagesEntry
    compute: ComputeEntry = ComputeEntry()
    keep: KeepEntry = KeepEntry()
    sources: list[SourceName] = Field(default_factory=list)
    targets: list[Label] = Field(default_factory=list)
    worst_case: dict[Label, WorstCaseEntry] = Field(default_factory=dict)
    correlations: dict[Label, CorrelationEntry] = Field(default_factory=dict)
    security_curves: dict[Label, CurveEntry] = Field(default_factory=dict)
    optimality: dict[Label, OptimalityEntry] = Field(default_factory=dict)
    tables: list[TableEntry] = Field(default_factory=list)
    plots: list[PlotEntry] = Field(default_factory=list)
    gate: dict[Label, GateEntry] = Field(default_factory=dict)
    decide: DecideEntry | None = None

    @property
    def attacked_models(self) -> list[str]:
        """The sources, and the members of those that are ensembles, each once."""
        return list(dict.fromkeys(member for source in self.sources for member in members(source)))

    @property
    def all_models(self) -> list[str]:
        """The models that the suite uses, each once, in order of appearance."""
        named = self.images.models if isinstance(self.images.models, list) else []
        return list(dict.fromkeys([*self.attacked_models, *self.targets, *named]))

    @property
    def choosing_models(self) -> list[str]:
        """The models that must classify an image correctly for it to be attacked."""
        if self.images.rule != "correct_by_all":
            return []
        if isinstance(self.images.models, list):
            return self.images.models
        return self.attacked_models if self.images.models == "sources" else self.all_models

    @property
    def members_by_source(self) -> dict[str, list[str]]:
        """The labels of each source's models, by the label of the source."""
        return {source_label(source): members(source) for source in self.sources}

    @property
    def attack_labels(self) -> list[str]:
        """The labels of scores that follow from the attack: `category`, and the options that attacks sweep."""
        return list(dict.fromkeys(name for attack in self.attacks.values() for name in attack.labels))

    @property
    def swept_by_budgets(self) -> list[str]:
        """The keys that budgets sweep, which are labels of their scores."""
        return list(dict.fromkeys(key for budget in self.budgets.values() for key in budget.sweep))


def members(source: str | list[str]) -> list[str]:
    """Return the labels of a source's models: several for an ensemble."""
    return [source] if isinstance(source, str) else source


def source_label(source: str | list[str]) -> str:
    """Return the label of a source; that of an ensemble joins its members' labels."""
    return ENSEMBLE_MARK.join(members(source))
