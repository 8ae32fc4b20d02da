"""What plugins and the host share: values, and the protocols of attacks, metrics, datasets and random streams.

Importing this module does not import torch, so that plugins are listed quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from .recipes import (
    AttackRecipe,
    DataRecipe,
    ExecutorRecipe,
    Json,
    MetricRecipe,
    ModelRecipe,
    Recipe,
    WeightsFile,
)
from .rejection import Rejection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Model = nn.Module  # images [n, c, h, w] in [0, 1] -> logits [n, classes]; includes its own preprocessing
    Rows = Mapping[str, NDArray[Any]]

API_VERSION = 1  # of `bench_core.types`, `hookspecs` and `testing`; a plugin declares BENCH_API_VERSION
API_OLDEST = 1  # the oldest version that this host supports, and the version of a plugin that declares none
Norm = Literal["linf", "l2", "l1", "l0"]
LossName = Literal["cross_entropy", "margin", "logit", "probability", "logit_margin"]
Precision = Literal["float32", "bfloat16"]
Access = Literal["gradients", "scores", "labels"]  # of an attacker to a network, each less than the one before

__all__ = [
    "API_OLDEST", "API_VERSION", "Access", "Attack", "AttackRecipe", "Budget", "Cost", "DataRecipe", "Examples",
    "ExecutorRecipe", "Images", "Json", "LossName", "Metric", "MetricRecipe", "Model", "ModelRecipe", "Norm",
    "Precision", "Recipe", "Rejection", "Rows", "Score", "Step", "Streams", "WeightsFile",
]  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """The threat model and the steps, the same for every attack, so that differences in scores come from the attacks.

    Attributes:
        norm: The norm of the ball.
        eps: The radius, in units of the image range [0, 1]: of a pixel for `linf`, of the image's L2 norm for `l2` and
            its L1 norm for `l1`. For `l0`, the number of pixels that may change, each in all of its channels.
        step_size: The length of one step, in the same units. For `l0`, the mean change of a pixel before the step is
            projected to so few pixels, in units of the image range.
        steps: The number of steps.
        random_start: Whether every attack starts at the same random point of the ball instead of the image.
        loss: The loss to ascend.
        targeted: Whether an attack succeeds only with the target class.
        access: What the network gives: its gradients, only its scores (the logits), or only the predicted class, which
            is 1 in scores that are else 0. Without gradients the host counts the queries of each image.
        queries: The most queries for one image; None with gradients.
    """

    norm: Norm
    eps: float
    step_size: float
    steps: int
    random_start: bool = False
    loss: LossName = "cross_entropy"
    targeted: bool = False
    access: Access = "gradients"
    queries: int | None = None


@dataclass(frozen=True)
class Examples:
    """A batch of images.

    Attributes:
        images: Float [n, c, h, w] in [0, 1].
        labels: The true classes, int64 [n].
        ids: SHA-256 digests of the images, hexadecimal.
        targets: The classes that a targeted attack aims at, int64 [n]; None for an untargeted attack.
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    targets: Tensor | None = None

    def take(self, rows: slice) -> Examples:
        """Return the examples of a slice of the batch."""
        targets = None if self.targets is None else self.targets[rows]
        return Examples(self.images[rows], self.labels[rows], self.ids[rows], targets)


class Streams(Protocol):
    """Random numbers with one stream for each image, purpose and step, so that no draw depends on the batch.

    Two attacks that draw for the same purpose at the same step get the same numbers, which pairs their comparison.
    Tensors are float32 on the CPU, with the images of the batch along the first dimension.
    """

    def take(self, rows: slice) -> Streams:
        """Return the streams of a slice of the batch."""

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers [n, *shape]."""

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers in [0, 1), [n, *shape]."""

    def subsets(self, purpose: str, step: int, count: int, players: int, size: int) -> Tensor:
        """Return `count` random sets of `size` distinct players, bool [n, count, players]."""


@dataclass(frozen=True)
class Cost:
    """Passes of one image through the source network: `forwards` and `backwards` at each step, the `_once` per run.

    A pass through an ensemble is one here; the plan and the host's count multiply it by the number of members.
    """

    forwards: float = 1
    backwards: float = 1
    forwards_once: float = 0
    backwards_once: float = 0

    def total(self, steps: int) -> tuple[float, float]:
        """Return the forwards and backwards of an attack of `steps` steps."""
        return self.forwards * steps + self.forwards_once, self.backwards * steps + self.backwards_once


@runtime_checkable
class Attack(Protocol):
    """An attack, called once for each batch: a generator of images, one tensor for each step.

    The generator may return a mapping of rows, which become scores: `zero_gradients` [n], the steps with a gradient
    of zero; `reached` bool [n], the images that reached the attack's goal; `utility` [n], how far they got, in logits.

    These attributes and methods are optional:

    | member | meaning | default |
    | --- | --- | --- |
    | `cost: Cost` | its passes, for the plan and the leaderboard | one of each per step, marked as assumed |
    | `check(shape) -> Rejection or str or None` | why images of shape (c, h, w) cannot be attacked | None |
    | `check_source(model) -> Rejection or str or None` | why a source network cannot be attacked | None |
    | `check_members(count) -> Rejection or str or None` | why so many networks cannot be attacked | None |
    | `check_classes(count) -> Rejection or str or None` | why a network of so many classes cannot be attacked | None |
    | `cost_for(networks) -> Cost` | the same for an ensemble of so many networks, in passes of all of them | `cost` |
    | `donors: int` | the number of clean images that it gets as the argument `donors: Examples` | 0 |
    | `asks_source: bool` | whether these must be called before the run | true with one of these |
    | `resumable: bool` | whether it gets the argument `memory: Memory`, and can go on after any step | false |
    | `global_seed: bool` | whether it draws from the global generators, which the host then seeds | false |
    | `all_or_nothing: bool` | whether it returns an image that it does not fool unchanged | false |
    | `access: Access` | the least that it needs of the network | gradients |
    | `names_rows: bool` | whether it asks through `bench_core.queries.ask` | false: asked one image at a time |
    | `lowers_interaction: bool` | whether it lowers the interaction inside its perturbations | false |
    | `deviations: Mapping[str, str]` | rules of `bench check` that it cannot keep, and why | none |

    A text "OPTION: MESSAGE" that a check returns is the same as `Rejection(OPTION, MESSAGE)`. A `cost` of an attack
    that declares a deviation from the rule `cost` is an estimate, which a plan marks.
    """

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        """Yield the images [n, c, h, w] after each step. The last ones are the adversarial examples."""


@dataclass
class Memory:
    """What a resumable attack needs to go on after the images that it yields. It sets `state` before each `yield`.

    Attributes:
        state: Nested tuples, lists and dictionaries of tensors, numbers and texts. If it is not None when the attack is
            called, the attack goes on from there, and the next images that it yields are those of the following step.
    """

    state: Any = None


@dataclass(frozen=True)
class Step:
    """The images [n, c, h, w] after step `index` of an attack, counted from 1."""

    index: int
    images: Tensor


@dataclass(frozen=True)
class Score:
    """A number with its 95% interval.

    Attributes:
        name: The score's name within its metric.
        value: The value.
        low: The lower end of the interval.
        high: The upper end.
        n: The number of images that it is computed from.
        labels: Labels that the metric adds, such as the step.
        per_image: The values [n] whose mean is `value`, from which the host computes paired differences of attacks;
            None if `value` is not a mean over images.
        images: The rows that `per_image` belongs to: a mask, bool [rows], or positions [n]; None for all rows in order.
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
    """A metric in two parts: a worker calls `observe` for each batch; `summarise` computes scores from all rows.

    The names of the parameters of `observe` declare what it needs, and it receives only these: `clean: Examples`,
    `adversarial: Tensor`, `step: Step`, `source: Model`, `target: Model`, `rng: Streams` and `data_mean: Tensor` (the
    mean image of the dataset, [c, h, w]). It returns the rows, tensors [n, ...] by name. With `step` it is
    called after every step of an attack, where `adversarial` are that step's images, and the host stacks the rows to
    [n, steps, ...].

    These attributes and methods are optional:

    | member | meaning | default |
    | --- | --- | --- |
    | `check(shape) -> Rejection or str or None` | why images of shape (c, h, w) cannot be observed | None |
    | `forwards: float` | forward passes of one observation of one image, for the plan | 1 |
    | `steps: Sequence[int]` | the steps that a metric with `step` observes; other rows are NaN | every step |
    | `scores: tuple[str, ...]` | the names of its scores, to check tables before a run | unchecked |
    | `labels: tuple[str, ...]` | the labels that its scores add | none |
    | `by_step: Mapping[str, str]` | scores that choose a step, and for each the score with the label `step` | none |
    | `rows: tuple[str, ...]` | the names of the rows that plots may show | unchecked |
    | `notes: Sequence[str]` | what a plan and a run say about it, such as scores that it cannot have | none |
    """

    observe: Callable[..., Mapping[str, Tensor]]

    def summarise(self, rows: Rows) -> Iterable[Score]:
        """Return the scores of one source, attack, budget and target, from the rows of all images."""


class Images(Protocol):
    """A dataset, without torch. The order of its images is fixed.

    Attributes:
        labels: The class of each image.
        shape: The shape (c, h, w) of every image.

    These attributes are optional:

    | member | meaning | default |
    | --- | --- | --- |
    | `targets: Sequence[int]` | the class that targeted attacks aim at, for each image | a random wrong class |
    | `class_count: int` | the number of classes, which every network's outputs must then have | unchecked |
    | `names: Sequence[str]` | a name of each image, by which images made elsewhere are found | its position: `00017` |
    | `notes: Sequence[str]` | what a plan and a run say about the images, such as files that are left out | none |
    """

    labels: Sequence[int]
    shape: tuple[int, int, int]

    @property
    def ids(self) -> Sequence[str]:
        """SHA-256 digests of the images that `load` returns. They may be computed when they are first read."""

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return images, float32 [n, c, h, w] in [0, 1]."""


def __getattr__(name: str) -> Any:
    """Return the aliases `Model` and `Rows`, which are defined for type checkers only, when they are imported."""
    if name == "Model":
        from torch import nn

        return nn.Module
    if name == "Rows":
        return Mapping[str, Any]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
