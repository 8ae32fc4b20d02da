"""A suite file and its profile -> one validated `Suite`; every fault at once, with file and key."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..types import LossName, Norm
from .fields import Label, Number, Strict, faults_of
from .merge import merged, origin, read_override, read_toml
from .outputs import AnyPlot, CorrelationTable, GateTable, TableTable, WorstCaseTable
from .sweeps import expand_sweeps

SourceName = Label | Annotated[list[Label], Field(min_length=1)]
OWN_DIMENSIONS = ("source", "attack", "budget", "norm", "target", "relation")
ENSEMBLE_MARK = "+"


class BudgetTable(Strict):
    """`[budgets.NAME]`; sources and attacks restrict where the budget is used."""

    norm: Norm
    eps: Annotated[Number, Ge(0)]
    step_size: Annotated[Number, Ge(0)]
    steps: Annotated[int, Gt(0)]
    sources: list[Label] | None = None
    attacks: list[Label] | None = None

    @model_validator(mode="after")
    def in_image_range(self) -> BudgetTable:
        if self.norm == "linf" and self.eps > 1:
            raise ValueError(f'found eps {self.eps:g}, but images are in [0, 1] (would do: "{self.eps:g}/255")')
        return self


class Open(BaseModel):
    """A table whose further keys are the options of what it names."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class AttackTable(Open):
    """`[attacks]`: `{ recipe = NAME, ... }` or `{ parts = [NAMES], ... }`; `by_source` overrides options for one.

    `sweep = { OPTION = [VALUES] }` stands for an attack of every combination; in a loaded suite each has its own.
    """

    recipe: str | None = None
    parts: list[str] | None = None
    by_source: dict[Label, dict[str, Any]] = Field(default_factory=dict)
    sweep: dict[Label, Annotated[list[int | float | str], Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def one_of_two(self) -> AttackTable:
        if (self.recipe is None) == (self.parts is None):
            raise ValueError('found both or neither of "recipe" and "parts" (give one)')
        return self

    @model_validator(mode="after")
    def swept_once(self) -> AttackTable:
        given = {*super().options, *(option for options in self.by_source.values() for option in options)}
        for option in self.sweep:
            if option in given or option in OWN_DIMENSIONS:
                raise ValueError(f'found "{option}" swept, and given as well or a name of bench\'s own')
        return self

    @property
    def swept(self) -> dict[str, str]:
        """The values that tell this attack from the others of its sweep, as labels."""
        return {option: str(values[0]) for option, values in self.sweep.items()}

    @property
    def options(self) -> dict[str, Any]:
        return super().options | {option: values[0] for option, values in self.sweep.items()}


class RecipeTable(Open):
    """`[metrics]` and `[models]`: `{ recipe = NAME, ... }`."""

    recipe: str


class ModelTable(RecipeTable):
    """`expected_accuracy` is held against the accuracy on the clean images; where it is missed, the run stops there."""

    expected_accuracy: Annotated[Number, Ge(0), Le(1)] | None = None


class MetricTable(RecipeTable):
    """`over` says on which images a metric that needs no attack runs; one that needs an attack has the selected.

    `models` are the networks that it is asked of: by default all of the suite's over all images, the targets over the
    selected ones.
    """

    over: Literal["all", "selected"] = "all"
    models: list[Label] | None = None


class DataTable(Open):
    """`[data]`: `kind`, then the options of that dataset."""

    kind: str


class ImagesTable(Strict):
    """`[images]`: which images of the dataset the attacks get. `digest` pins the list: another one stops the run.

    `models` are those by which an image must be classified correctly under the rule `correct_by_all`, all of the
    suite's by default: suites of different models that name the same ones here attack the same images.
    """

    count: Annotated[int, Gt(0)]
    rule: Literal["correct_by_all", "correct_by_target", "all"] = "correct_by_all"
    models: list[Label] | None = None
    digest: str | None = None


class ComputeTable(Strict):
    """`[compute]`: the micro-batch is the unit of work and part of every address; the results follow from it alone."""

    micro_batch: Annotated[int, Gt(0)] = 32


class Suite(Strict):
    """A suite with its profile and overrides merged. `load_suite` makes one."""

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
    budgets: dict[Label, BudgetTable] = Field(default_factory=dict)
    attacks: dict[Label, AttackTable] = Field(default_factory=dict)
    metrics: Annotated[dict[Label, MetricTable], Field(min_length=1)]
    models: Annotated[dict[Label, ModelTable], Field(min_length=1)]
    data: DataTable
    images: ImagesTable
    compute: ComputeTable = ComputeTable()
    sources: list[SourceName] = Field(default_factory=list)
    targets: list[Label] = Field(default_factory=list)
    worst_case: dict[Label, WorstCaseTable] = Field(default_factory=dict)
    correlations: dict[Label, CorrelationTable] = Field(default_factory=dict)
    tables: list[TableTable] = Field(default_factory=list)
    plots: list[AnyPlot] = Field(default_factory=list)
    gate: dict[Label, GateTable] = Field(default_factory=dict)

    @property
    def all_models(self) -> list[str]:
        """Every model that the suite uses, once, in order of appearance."""
        attacked = [member for source in self.sources for member in members(source)]
        return list(dict.fromkeys([*attacked, *self.targets, *(self.images.models or [])]))

    @property
    def swept(self) -> list[str]:
        """Every option that attacks sweep: a label of their scores."""
        return list(dict.fromkeys(option for attack in self.attacks.values() for option in attack.sweep))


def members(source: str | list[str]) -> list[str]:
    return [source] if isinstance(source, str) else source


def source_label(source: str | list[str]) -> str:
    return ENSEMBLE_MARK.join(members(source))


def suites_folder() -> Path:
    """Where bench's own suites are: in the wheel, or in the checkout."""
    here = Path(__file__).parents[1]
    return here / "suites" if (here / "suites").is_dir() else here.parent / "suites"


def own_suites() -> dict[str, Path]:
    return {path.stem: path for path in sorted(suites_folder().glob("*.toml"))}


def find_suite(name: str) -> Path:
    """Give the file of a path, or of the name of one of bench's own suites. Raises UsageError."""
    path, known = Path(name), own_suites()
    if path.is_file():
        return path
    if name in known:
        return known[name]
    if path.suffix == ".toml" and path.stem in known and path.parent.name in ("", "suites"):
        return known[path.stem]
    raise UsageError(Fault(name, "", f"no such suite file {did_you_mean(path.stem, known)}"))


def command(verb: str, suite: Suite, *options: str, without: str = "") -> str:
    """Give the command line `bench VERB` of a suite as it was loaded, without the overrides that begin so."""
    shipped = Path(suite.file) == own_suites().get(suite.name)
    overrides = [f"--set={text}" for text in suite.overrides if not without or not text.startswith(without)]
    named = ["bench", verb, suite.name if shipped else suite.file, "--profile", suite.profile]
    return shlex.join([*named, *options, *overrides])


def load_suite(name: str, profile: str | None = None, overrides: Sequence[str] = ()) -> Suite:
    """Read a suite by file or by name, with a profile (the first it lists by default) and `key=value` overrides.

    Raises UsageError with every fault found.
    """
    path = find_suite(name)
    table = read_toml(path)
    where = str(path)
    profiles = table.pop("profiles", None)
    if not (isinstance(profiles, list) and profiles and all(isinstance(p, str) for p in profiles)):
        raise UsageError(Fault(where, "profiles", f"found {profiles!r} (would do: a list of names, the default first)"))
    chosen = profiles[0] if profile is None else profile
    if chosen not in profiles:
        raise UsageError(Fault(where, "profiles", f'no profile "{chosen}" {did_you_mean(chosen, profiles)}'))
    on = table.pop("on", {})
    if not isinstance(on, dict) or not all(isinstance(each, dict) for each in on.values()):
        raise UsageError(Fault(where, "on", "found no table of tables (would do: [on.PROFILE])"))
    unknown = [
        Fault(where, f"on.{key}", f"unknown profile {did_you_mean(key, profiles)}") for key in on if key not in profiles
    ]
    profile_file = next(
        (
            file
            for folder in (path.parent, suites_folder())
            if (file := folder / "profiles" / f"{chosen}.toml").is_file()
        ),
        None,
    )
    layers: list[tuple[str, dict[str, Any]]] = [(str(profile_file), read_toml(profile_file))] if profile_file else []
    layers += [(where, table), (where, on.get(chosen, {}))]
    given = [(f"--set {text}", read_override(text)) for text in overrides]
    together: dict[str, Any] = reduce(merged, (table for _, table in given), {})  # in whichever order they were given
    whole = expand_sweeps(reduce(merged, [*(table for _, table in layers), together], {}))
    layers += given
    stop_at_faults(
        unknown
        + [
            Fault(where, key, "not a key of a suite")
            for key in ("name", "file", "profile", "overrides")
            if key in whole
        ]
    )
    try:
        suite = Suite(**whole, name=path.stem, file=where, profile=chosen, overrides=list(overrides))
    except ValidationError as error:
        faults = [Fault(origin(f.key, layers, where), f.key, f.message) for f in faults_of(error, Suite, where)]
        raise UsageError(*faults, *unknown) from None
    stop_at_faults([Fault(origin(f.key, layers, where), f.key, f.message) for f in _names(suite)])
    return suite


def _names(suite: Suite) -> list[Fault]:
    """Find names that a suite uses and does not define."""
    labels = [source_label(source) for source in suite.sources]
    uses: list[tuple[str, str, Collection[str]]] = [
        ("sources", name, suite.models) for source in suite.sources for name in members(source)
    ]
    uses += [("targets", name, suite.models) for name in suite.targets]
    uses += [("images.models", name, suite.models) for name in suite.images.models or []]
    uses += [
        (f"metrics.{label}.models", name, suite.all_models)
        for label, metric in suite.metrics.items()
        for name in metric.models or []
    ]
    # of networks that the suite names, not of its sources: an override that leaves a source out must not be a fault
    restricted = [(f"budgets.{budget}.sources", table.sources or []) for budget, table in suite.budgets.items()]
    restricted += [(f"attacks.{attack}.by_source", list(entry.by_source)) for attack, entry in suite.attacks.items()]
    uses += [
        (key, part, suite.models) for key, named in restricted for name in named for part in name.split(ENSEMBLE_MARK)
    ]
    for budget, table in suite.budgets.items():
        uses += [(f"budgets.{budget}.attacks", name, suite.attacks) for name in table.attacks or []]
    for label, worst in suite.worst_case.items():
        uses += [(f"worst_case.{label}.attacks", name, suite.attacks) for name in worst.attacks or []]
    faults = [
        Fault("", key, f'unknown name "{name}" {did_you_mean(name, known)}')
        for key, name, known in uses
        if name not in known
    ]
    faults += [Fault("", "attacks", "given, but no budgets")] if suite.attacks and not suite.budgets else []
    faults += [
        Fault("", f"worst_case.{label}", "is an attack's name as well")
        for label in suite.worst_case
        if label in suite.attacks
    ]
    faults += [Fault("", "attacks", "given, but no sources")] if suite.attacks and not suite.sources else []
    for key, values in (("sources", labels), ("targets", suite.targets)):
        faults += [
            Fault("", key, f'"{name}" stands twice') for name in sorted({v for v in values if values.count(v) > 1})
        ]
    return faults
