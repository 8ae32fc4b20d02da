"""Recipes: plugins offer them to build attacks, metrics, models, datasets, executors and publishers.

Import `PublisherRecipe` from `publishing` and the others from `types`.

The parameters of `build` are the options that a suite may set; their types, bounds and defaults are read from the
signature. `bench check` builds a recipe with each of its `examples`, which are options; without examples, it builds it
with the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run_views import Publisher
    from .types import Attack, Images, Metric, Model, Norm, Rejection

Json = Mapping[str, Any]


@dataclass(frozen=True)
class AttackRecipe:
    """Builds an attack.

    Attributes:
        build: `build(budget, **options) -> Attack`.
        summary: One line for `bench plugins`.
        parts: What `join` uses to combine this recipe with others.
        join: Combines recipes into one: a suite's `parts = ["mi", "ir"]` builds `join([mi, ir])`. Only recipes with the
            same `join` can be combined.
        examples: Options for `bench check`.
        norms: The norms of the budgets with which `bench check` tries it.
    """

    build: Callable[..., Attack]
    summary: str
    parts: tuple[Any, ...] = ()
    join: Callable[[Sequence[AttackRecipe]], AttackRecipe] | None = None
    examples: Sequence[Json] = ()
    norms: Sequence[Norm] = ("linf", "l2")


@dataclass(frozen=True)
class MetricRecipe:
    """Builds a metric.

    Attributes:
        build: `build(**options) -> Metric`.
        summary: One line for `bench plugins`.
        examples: Options for `bench check`.
        depends: The distributions on whose versions its rows depend.
    """

    build: Callable[..., Metric]
    summary: str
    examples: Sequence[Json] = ()
    depends: Sequence[str] = ()


@dataclass(frozen=True)
class WeightsFile:
    """A file that a model is loaded from.

    Attributes:
        path: The path where the model's library looks for it.
        url: The address of the download; empty if only the user can provide the file.
        size: Its size in bytes, if known before the download.
        sha256: Its hexadecimal digest or the beginning of it, if known before the download.
        download: Lets the library download into its own cache, if that takes more than one file at a path.
    """

    path: str
    url: str = ""
    size: int | None = None
    sha256: str = ""
    download: Callable[[], Any] | None = None


@dataclass(frozen=True)
class ModelRecipe:
    """Builds a model, and identifies its weights without loading them.

    Attributes:
        build: `build(**options) -> Model`.
        identity: `identity(**options)` returns a JSON mapping (weights digest, library version) that is part of the
            address of every result. A target that has a SHA-256 in common with the source, in its identity or in
            that of a model it is made of, counts as white-box. It raises UsageError if the weights are wrong.
        summary: One line for `bench plugins`.
        made_of: The options that name other models of the suite, by one label or a list. `build` receives those models
            as the options' values, and `identity` their identities. In `examples`, where there is no suite, each model
            is a recipe with its options, `{"recipe": NAME, ...}`.
        files: `files(**options)` lists the files that the user or `bench fetch` provides. A plan lists those that are
            missing, and a run does not start without them.
        examples: Options for `bench check`.
        card: `card(**options)` returns what is known of the model: `shape` (c, h, w), `classes`, and `accuracy` on the
            first 1,000 images of the dataset `data`.
        cost: `cost(**options)` returns the multiply-adds for one image in billions, or None. Where clean images are
            looked at to select some, the cheapest network sees them first.
        check: `check(shape)` returns why images of shape (c, h, w) cannot be classified, as text or `Rejection`, or
            None. It is called with the dataset's shape before anything is computed.
    """

    build: Callable[..., Model]
    identity: Callable[..., Json]
    summary: str
    made_of: tuple[str, ...] = ()
    files: Callable[..., Sequence[WeightsFile]] | None = None
    examples: Sequence[Json] = ()
    card: Callable[..., Json] | None = None
    cost: Callable[..., float | None] | None = None
    check: Callable[[tuple[int, int, int]], Rejection | str | None] | None = None


@dataclass(frozen=True)
class DataRecipe:
    """Opens a dataset: `build(**options) -> Images`."""

    build: Callable[..., Images]
    summary: str
    examples: Sequence[Json] = ()


@dataclass(frozen=True)
class ExecutorRecipe:
    """Builds an executor.

    Attributes:
        build: `build(workers, registry, **options) -> Executor` (see `bench_core.executors`). `workers` is None if the
            executor may choose their number.
        summary: One line for `bench plugins`.
        remote: Whether it computes on other machines, whose devices need not exist here.
        examples: Options for `bench check`.
    """

    build: Callable[..., Any]
    summary: str
    remote: bool = False
    examples: Sequence[Json] = ()


@dataclass(frozen=True)
class PublisherRecipe:
    """Builds a publisher, which `bench publish --to` hands a finished run to.

    Attributes:
        build: `build(**options) -> Publisher`.
        summary: One line for `bench plugins`.
        examples: Options with which it can be built.
    """

    build: Callable[..., Publisher]
    summary: str
    examples: Sequence[Json] = ()


Recipe = AttackRecipe | MetricRecipe | ModelRecipe | DataRecipe | ExecutorRecipe | PublisherRecipe
