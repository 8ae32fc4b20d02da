"""What plugins and host share: examples, budgets, scores, and the shape of an attack, a metric, a model, a dataset.

Importing this module imports no torch, so that a plugin can describe what it offers for free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Model = nn.Module  # images [n, c, h, w] in [0, 1] -> logits [n, classes]; owns its preprocessing
    Rows = Mapping[str, NDArray[Any]]

API_VERSION = 1  # what `bench_core.types`, `hookspecs` and `testing` are; a plugin says its own as BENCH_API_VERSION
API_OLDEST = 1  # that a plugin may be made for; and is, where it says nothing
Norm = Literal["linf", "l2"]
LossName = Literal["cross_entropy", "margin"]
Precision = Literal["float32", "bfloat16"]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """What every attack of a suite is given alike, so that a comparison compares the attacks and nothing else.

    `eps` and `step_size` are in units of the image range [0, 1]: per pixel for `linf`, of the whole image's Euclidean
    length for `l2`. `random_start` starts every attack at the same random point of the ball instead of the image.
    """

    norm: Norm
    eps: float
    step_size: float
    steps: int
    random_start: bool = False
    loss: LossName = "cross_entropy"
    targeted: bool = False


@dataclass(frozen=True)
class Examples:
    """A batch: `images` float [n, c, h, w] in [0, 1], `labels` int64 [n], `ids` the images' SHA-256 digests.

    `targets` int64 [n] are the classes that a targeted attack aims at, else None.
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    targets: Tensor | None = None

    def take(self, rows: slice) -> Examples:
        """Give some of the examples."""
        targets = None if self.targets is None else self.targets[rows]
        return Examples(self.images[rows], self.labels[rows], self.ids[rows], targets)


class Streams(Protocol):
    """Random numbers, one stream per image, purpose and step: no draw depends on who else is in the batch.

    Two attacks that draw for the same purpose at the same step get the same numbers, which pairs their comparison.
    Tensors come on the CPU in float32, with the images of the batch along the first dimension.
    """

    def take(self, rows: slice) -> Streams:
        """The streams of some of the images."""

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers [n, *shape]."""

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Uniform numbers in [0, 1), [n, *shape]."""

    def subsets(self, purpose: str, step: int, count: int, players: int, size: int) -> Tensor:
        """`count` random sets of `size` distinct players, bool [n, count, players]."""


@dataclass(frozen=True)
class Cost:
    """Passes through the source network for one image: `once` a run, and again at each of the budget's steps."""

    forwards: float = 1
    backwards: float = 1
    forwards_once: float = 0
    backwards_once: float = 0

    def total(self, steps: int) -> tuple[float, float]:
        """Forwards and backwards for one image over a whole run of `steps` steps."""
        return self.forwards * steps + self.forwards_once, self.backwards * steps + self.backwards_once


@runtime_checkable
class Attack(Protocol):
    """Called once per batch; a generator of images, one per step, so that a trajectory costs nothing unless kept.

    An attack may also have `cost: Cost`, which the plan shows; `check(shape) -> str | None`, which says before the run
    why images of shape (c, h, w) will not do; `check_source(model) -> str | None`, which says so of the source network,
    and is asked before any image is attacked unless `asks_source` is false;
    `global_seed = True`, where it draws from the global generators, which the host then seeds; and `deviations`, the
    rules of `bench check` that it cannot keep, each with the reason. A reason why not begins with the option it
    concerns and a colon. A generator may return rows of its own, which are scores beside the passes: `zero_gradients`
    [n], how many steps met a gradient of zero; `reached` bool [n], which images got to where the attack was to bring
    them; `utility` [n], how far that was, in logits.
    """

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        """Yield the images [n, c, h, w] after each step; the last is the answer."""


@dataclass(frozen=True)
class Step:
    """The images [n, c, h, w] of an attack after its step `index`, counted from 1."""

    index: int
    images: Tensor


@dataclass(frozen=True)
class Score:
    """One number with its interval: `value` in [`low`, `high`] at 95%, from `n` images.

    `per_image` float [n] holds what the value is the mean of, in the images' order, so that the host can pair two
    attacks image by image; None where the value is no such mean. `labels` are those a metric adds (the step, ...).
    `images` states which of the rows `per_image` is of, as bool [rows] or as their places [n]; None: all, in order.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    labels: Mapping[str, Any] = field(default_factory=dict)
    per_image: NDArray[np.float64] | None = None
    images: NDArray[np.bool_] | NDArray[np.intp] | None = None


class Metric(Protocol):
    """Two halves: `observe` runs beside the models, `summarise` is arithmetic on all rows.

    `observe` has any of the parameters `clean: Examples`, `adversarial: Tensor`, `step: Step`, `source: Model`,
    `target: Model`, `rng: Streams`, `data_mean: Tensor` (the average image of the dataset, [c, h, w]); their names are
    its needs, and the plan spreads the metric only over what it asks for. It returns per-image rows, name -> [n, ...].
    With `step` it is called at every step and the host stacks the rows to [n, steps, ...].

    A metric may also have `check(shape) -> str | None`, as an attack may; `forwards: float`, how many images an
    observation of one image puts through a network, which the plan shows (1 by default); `steps`, those at which a
    metric with a `step` looks and does not give rows of NaN; and tuples that are held against tables and plots before a
    run: `scores`, the names of its scores; `labels`, those that it adds to them; `rows`, the names of the rows that a
    plot may show.
    """

    observe: Callable[..., Mapping[str, Tensor]]

    def summarise(self, rows: Rows) -> Iterable[Score]:
        """Give the scores of one source, attack, budget and target, from the rows of all its images."""


class Images(Protocol):
    """A dataset, without torch: `ids` are the images' digests, `labels` their classes, both in a fixed order.

    It may also have `targets`, the classes that targeted attacks aim at; without it they aim at random wrong ones;
    and `class_count`, how many classes there are, which every network's outputs must then be.
    """

    labels: Sequence[int]
    shape: tuple[int, int, int]

    @property
    def ids(self) -> Sequence[str]:
        """The digests; a dataset of many files may leave them until somebody asks."""

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Give images [n, c, h, w] in [0, 1]."""


@dataclass(frozen=True)
class AttackRecipe:
    """`build(budget, **options) -> Attack`. Its parameters are the options; types and defaults are read from them.

    Recipes with the same `join` can be combined: a suite's `parts = ["mi", "ir"]` builds `join([mi, ir])`. `parts` is
    whatever `join` needs. `examples` of any recipe are options with which `bench check` builds it, in place of none.
    """

    build: Callable[..., Attack]
    summary: str
    parts: tuple[Any, ...] = ()
    join: Callable[[Sequence[AttackRecipe]], AttackRecipe] | None = None
    examples: Sequence[Json] = ()


@dataclass(frozen=True)
class MetricRecipe:
    """`build(**options) -> Metric`."""

    build: Callable[..., Metric]
    summary: str
    examples: Sequence[Json] = ()


@dataclass(frozen=True)
class WeightsFile:
    """A file that a network is loaded from: where its library looks for it, and how it comes there.

    `url` is empty where only the user can know it; `size` is in bytes and `sha256` the digest or its beginning, where
    they are known before. `download` has the library itself put the file into its cache, where that is more than a file
    at a place.
    """

    path: str
    url: str = ""
    size: int | None = None
    sha256: str = ""
    download: Callable[[], Any] | None = None


@dataclass(frozen=True)
class ModelRecipe:
    """`build(**options) -> Model`, and what tells the weights apart without loading them.

    `identity(**options)` gives a JSON mapping (weights digest, library version) that goes into the address of every
    result; it raises `UsageError` where the weights are not what they should be. `files(**options)` lists the files
    that the user or `bench fetch` provides: a plan says which are missing, and a run does not begin without them.
    `card(**options)` gives what may be held against the model: `shape` (c, h, w), `classes`, and `accuracy` on the
    first 1,000 images of the dataset `data`.

    `made_of` are the options that name other models of the suite, by one label or a list of them. The host gives
    `build` those models, and `identity` their identities, in the labels' place. In `examples`, where there is no suite,
    each is `{"recipe": NAME, ...}`, a recipe with its options.
    """

    build: Callable[..., Model]
    identity: Callable[..., Json]
    summary: str
    made_of: tuple[str, ...] = ()
    files: Callable[..., Sequence[WeightsFile]] | None = None
    examples: Sequence[Json] = ()
    card: Callable[..., Json] | None = None


@dataclass(frozen=True)
class DataRecipe:
    """`build(**options) -> Images`."""

    build: Callable[..., Images]
    summary: str
    examples: Sequence[Json] = ()


@dataclass(frozen=True)
class ExecutorRecipe:
    """`build(workers, registry, **options) -> Executor` (see `bench_core.executors`); `workers` None: as it sees fit.

    `remote` says that it may compute on other machines, whose devices need not be here.
    """

    build: Callable[..., Any]
    summary: str
    remote: bool = False
    examples: Sequence[Json] = ()


Recipe = AttackRecipe | MetricRecipe | ModelRecipe | DataRecipe | ExecutorRecipe


def __getattr__(name: str) -> Any:
    """Give the aliases that are made of torch's and NumPy's types to those who import them at run time."""
    if name == "Model":
        from torch import nn

        return nn.Module
    if name == "Rows":
        return Mapping[str, Any]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
