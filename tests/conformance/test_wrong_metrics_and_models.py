"""One deliberately wrong metric, model or dataset for each mistake; each is caught by the rule that it breaks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench_core.errors import Fault, UsageError
from bench_core.statistics import mean
from bench_core.types import DataRecipe, Examples, MetricRecipe, Model, ModelRecipe, Recipe, Rows, Score

from .offering import verdicts

Observed = Callable[[Tensor, Examples, Model], Mapping[str, Tensor]]


def margins(adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
    return {"value": target(adversarial).amax(1) - target(clean.images).amax(1)}


def plain(rows: Rows) -> Iterator[Score]:
    yield mean("score", rows["value"])


@dataclass(frozen=True)
class Measure:
    """A correct metric. Each wrong metric changes one part of it."""

    observed: Observed = margins
    scored: Callable[[Rows], Iterator[Score]] = plain
    scores = ("score",)

    def observe(self, adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        return self.observed(adversarial, clean, target)

    def summarise(self, rows: Rows) -> Iterator[Score]:
        return self.scored(rows)


class Wishful(Measure):
    def observe(self, adversarial: Tensor, gradient: Tensor) -> Mapping[str, Tensor]:  # type: ignore[override]
        return {"value": adversarial.flatten(1).sum(1)}


def metric(**differences: Any) -> MetricRecipe:
    return MetricRecipe(lambda: Measure(**differences), "A metric that may be wrong.")


def altered(change: Callable[[Tensor], Tensor]) -> MetricRecipe:
    return metric(
        observed=lambda adversarial, clean, target: {"value": change(margins(adversarial, clean, target)["value"])}
    )


def scored(make: Callable[[NDArray[Any]], Score]) -> MetricRecipe:
    return metric(scored=lambda rows: iter([make(np.asarray(rows["value"], np.float64))]))


def overwriting(adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
    adversarial.mul_(0.5)
    return margins(adversarial, clean, target)


def score(value: float, n: int, low: float = -1e9, high: float = 1e9, name: str = "score", each: Any = None) -> Score:
    return Score(name, float(value), low, high, n, {}, each)


def alone(values: NDArray[Any]) -> Score:
    """A variance with the divisor n - 1, which is undefined for one image."""
    return score(float(np.square(values - values.mean()).sum()) / (len(values) - 1), len(values))


METRICS: Mapping[str, tuple[str, str, MetricRecipe]] = {
    "one row for all": ("rows", "not 6 rows", altered(lambda values: values.mean()[None])),
    "randomness of its own": ("rows", "random", altered(lambda values: values + torch.rand(()))),
    "images overwritten": ("rows", "in place", metric(observed=overwriting)),
    "a mean over the batch": ("shard_independence", "those of the complete", altered(lambda v: v - v.mean())),
    "a place in the batch": ("shard_independence", "differ from those", altered(lambda v: v + torch.arange(len(v)))),
    "a need that there is not": ("needs", "gradient", MetricRecipe(Wishful, "Wishful.")),
    "NaN left out silently": ("missing_value", "as if the value", scored(lambda v: score(np.nanmean(v), len(v)))),
    "NaN taken for no": ("missing_value", "as if the value", scored(lambda v: score((v > -9).mean(), len(v)))),
    "the first image": ("order", "order of the images", scored(lambda v: score(v[0], len(v)))),
    "an interval beside its value": ("intervals", "outside", scored(lambda v: score(v.mean(), len(v), 7, 8))),
    "more images than there are": ("intervals", "n = 60", scored(lambda v: score(v.mean(), 60))),
    "another mean's images": ("intervals", "per_image", scored(lambda v: score(v.mean() + 1, len(v), each=v))),
    "a deviation of one image": ("one_row", "raised ZeroDivisionError", scored(alone)),
    "an unknown name": ("names", "not in `scores`", scored(lambda v: score(v.mean(), len(v), name="other"))),
}  # fmt: skip


def network(
    change: Callable[[nn.Module, Tensor], Tensor] = lambda inner, images: inner(images), seed: int | None = 0
) -> nn.Module:
    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if seed is not None:
                torch.manual_seed(seed)
            self.inner = nn.Sequential(
                nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Softplus(), nn.Flatten(), nn.LazyLinear(10)
            )
            self.inner.eval()(torch.rand(1, 1, 28, 28))

        def forward(self, images: Tensor) -> Tensor:
            return change(self.inner, images)

    return Made()


def model(
    change: Any = None, card: Any = None, seed: int | None = 0, identity: Any = lambda: {"seed": 0}
) -> ModelRecipe:
    build = lambda: network(change, seed) if change else network(seed=seed)  # noqa: E731
    return ModelRecipe(build, identity, "A model that may be wrong.", card=card)


def always_training(inner: nn.Module, images: Tensor) -> Tensor:
    return inner.train()(images)


def black_is_nan(inner: nn.Module, images: Tensor) -> Tensor:
    return inner(images / images.amax((1, 2, 3), keepdim=True))


def dropout(inner: nn.Module, images: Tensor) -> Tensor:
    return nn.functional.dropout(inner(images), training=True)


def normalised_in_place(inner: nn.Module, images: Tensor) -> Tensor:
    return inner(images.sub_(0.5) if not images.requires_grad else images - 0.5)


def normalised_in_data(inner: nn.Module, images: Tensor) -> Tensor:
    images.data.sub_(0.5)
    return inner(images)


def root(inner: nn.Module, images: Tensor) -> Tensor:
    return inner((images * (images > 0)).sqrt())  # of which the gradient at black is 0 * infinity


def nan_at_white(inner: nn.Module, images: Tensor) -> Tensor:
    some_white = (images.flatten(1).amax(1) >= 1) & (images.flatten(1).amin(1) < 0.5)
    return inner(images).where(~some_white[:, None], torch.nan)


def counting(inner: nn.Module, images: Tensor) -> Tensor:
    inner[1].running_mean.add_(0.1)
    return inner(images)


def never_alone(inner: nn.Module, images: Tensor) -> Tensor:
    if len(images) == 1:
        raise ValueError("expected more than 1 value per channel")
    return inner(images)


def in_autocast(inner: nn.Module, images: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return inner(images)


BOAST = {"shape": (1, 28, 28), "data": "embedded", "accuracy": 0.99}
MODELS: Mapping[str, tuple[str, str, ModelRecipe]] = {
    "a softmax inside": ("no_softmax", "are probabilities", model(lambda inner, images: inner(images).softmax(1))),
    "statistics of the batch": ("batch_independence", "alone differ", model(always_training)),
    "training for good": ("eval_mode", "mode", model(always_training)),
    "dropout at test time": ("determinism", "second forward pass", model(dropout)),
    "random weights": ("determinism", "built again", model(seed=None)),
    "a black image is NaN": ("logits", "not all finite", model(black_is_nan)),
    "features for logits": ("logits", "it returned", model(lambda inner, images: inner[0](images))),
    "an answer that is a tuple": ("logits", "a tuple, not logits", model(lambda inner, images: (inner(images), 1))),
    "an answer that is a dict": ("logits", "a dict, not logits", model(lambda inner, images: {"y": inner(images)})),
    "no answer": ("logits", "nothing, not logits", model(lambda inner, images: None)),
    "classes for logits": ("logits", "int64, not logits", model(lambda inner, images: inner(images).argmax(1))),
    "NaN where an attack leads": ("logits", "not all finite", model(nan_at_white)),
    "no network": ("logits", "type function", ModelRecipe(lambda: lambda x: x, lambda: {"seed": 0}, "A function.")),
    "float16": ("float32", "are float16", model(lambda inner, images: inner(images).half())),
    "float64": ("float32", "are float64", model(lambda inner, images: inner(images).double())),
    "autocast": ("float32", "are bfloat16", model(in_autocast)),
    "a batch of one refused": ("batch_independence", "raised ValueError", model(never_alone)),
    "small statistics of the batch": (
        "batch_independence", "alone differ",
        model(lambda inner, images: 1e-6 * inner(images - images.mean(0, keepdim=True))),
    ),
    "a gradient of NaN": ("gradient", "not finite", model(root)),
    "a buffer that moves": ("eval_mode", "a forward pass changed the model's parameters or buffers", model(counting)),
    "images changed in their data": ("eval_mode", "in place", model(normalised_in_data)),
    "no gradient": ("gradient", "raised RuntimeError", model(lambda inner, images: inner(images.detach()))),
    "a gradient quantised away": ("gradient", "exactly zero", model(lambda inner, x: inner((x * 8).round()))),
    "images changed in place": ("eval_mode", "in place", model(normalised_in_place)),
    "no identity": ("identity", "empty", model(identity=dict)),
    "a card of another": ("card", "1000 classes", model(card=lambda: {"shape": (1, 28, 28), "classes": 1000})),
    "a card that boasts": ("card", "accuracy 0.99", model(card=lambda: BOAST)),
}  # fmt: skip


@dataclass(frozen=True)
class Pixels:
    """A correct dataset. Each wrong dataset changes one part of it."""

    change: Callable[[NDArray[np.float32]], NDArray[Any]] = lambda images: images
    name: Callable[[bytes], str] = lambda content: hashlib.sha256(content).hexdigest()
    shape: tuple[int, int, int] = (1, 4, 4)

    @property
    def all(self) -> NDArray[np.float32]:
        return np.random.default_rng(0).random((5, 1, 4, 4)).astype(np.float32)

    @property
    def ids(self) -> Sequence[str]:
        return [self.name(image.tobytes()) for image in self.all]

    @property
    def labels(self) -> Sequence[int]:
        return list(range(5))

    def load(self, indices: Sequence[int]) -> NDArray[Any]:
        return self.change(self.all[list(indices)])


def data(**differences: Any) -> DataRecipe:
    return DataRecipe(lambda: Pixels(**differences), "A dataset that may be wrong.")


DATASETS: Mapping[str, tuple[str, str, DataRecipe]] = {
    "256 grey levels": ("pixels", "pixels lie", data(change=lambda images: images * 255)),
    "float64": ("pixels", "float64", data(change=lambda images: images.astype(np.float64))),
    "an order of its own": ("pixels", "loaded alone", data(change=lambda images: images[::-1])),
    "channels last": ("pixels", "(3, 4, 4, 1)", data(change=lambda images: np.moveaxis(images, 1, -1))),
    "one id for all": ("ids", "the same id", data(name=lambda _: "0" * 64)),
    "ids that are no digests": ("ids", "not a SHA-256", data(name=lambda content: str(sum(content)))),
}
WRONG = [("metrics", METRICS), ("models", MODELS), ("datasets", DATASETS)]


@pytest.mark.parametrize(("kind", "mistake"), [(kind, each) for kind, mistakes in WRONG for each in mistakes])
def test_a_mistake_is_caught_by_name(kind: str, mistake: str) -> None:
    rule, message, wrong = dict(WRONG)[kind][mistake]
    (found,) = verdicts(kind, wrong, {rule})
    assert found.status == "broken", str(found)
    assert message in found.message
    assert f"docs/plugins.md#{kind}-{rule.replace('_', '-')}" in str(found)


@pytest.mark.parametrize("mistake", MODELS)
def test_every_rule_has_a_verdict_on_a_wrong_model(mistake: str) -> None:
    """A rule that cannot be checked is skipped or broken, and never raises."""
    found = verdicts("models", MODELS[mistake][2])
    assert {each.rule for each in found} >= {"logits", "float32", "gradient", "batch_independence"}
    assert any(each.status == "broken" for each in found)


@pytest.mark.parametrize(("kind", "right"), [("metrics", metric()), ("models", model()), ("datasets", data())])
def test_the_right_one_breaks_nothing(kind: str, right: Recipe) -> None:
    assert {verdict.status for verdict in verdicts(kind, right)} <= {"holds", "unasked"}
    assert [verdict.rule for verdict in verdicts(kind, right) if verdict.status == "unasked"] == ["card"] * (
        kind == "models"
    )


def test_what_nobody_may_declare_is_broken() -> None:
    class Excused(Measure):
        deviations: Mapping[str, str] = {"rows": "no time"}

    found = verdicts("metrics", MetricRecipe(Excused, "Excused."))
    assert {verdict.status for verdict in found} == {"broken"}
    assert "cannot be declared" in found[0].message


def test_weights_that_are_missing_are_no_fault() -> None:
    def missing() -> Mapping[str, Any]:
        raise UsageError(Fault("mine", "weights", "no such file"))

    (found,) = verdicts("models", model(identity=missing))
    assert (found.status, found.message) == ("unasked", "mine: weights: no such file")
