"""The rules for metrics: one row per image, and scores computed from the rows alone."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..planning.uses import NEEDS
from ..queries import Queries
from ..registry import Offer
from ..types import Examples, Json, Metric, Score, Step
from ..worker.guard import guarded
from ..worker.observer import Observer
from .inputs import ALL_SHAPES, CLASSES, SHAPES, describe, examples, network, streams
from .verdicts import Broken, Rules, Skipped, with_input

RULES = Rules()
STEPS = 3
MOST_QUERIES = 20  # of an image
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Inputs:
    """Two networks, n clean images, and the images [n, c, h, w] of each step of an imaginary attack."""

    source: nn.Module
    target: nn.Module
    clean: Examples
    trajectory: list[Tensor]

    def take(self, rows: slice) -> Inputs:
        return Inputs(self.source, self.target, self.clean.take(rows), [images[rows] for images in self.trajectory])


@dataclass(frozen=True)
class MetricCase:
    """A metric with its options. Its exceptions become Broken or Skipped."""

    offer: Offer
    options: Json
    kind: ClassVar[str] = "metrics"

    @property
    def name(self) -> str:
        return f"metric {self.offer.name}" + "".join(f" {key}={value}" for key, value in self.options.items())

    def metric(self) -> Metric:
        built: Metric = self.offer.build(**self.options)
        return built

    def declared(self) -> Mapping[str, str]:
        """Return the deviations that the metric declares, with their reasons."""
        return dict(getattr(self.metric(), "deviations", {}))

    def refuses(self) -> str | None:
        """Return the reason why the metric accepts no images, or None."""
        try:
            self.inputs()
        except Skipped as refusal:
            return str(refusal)
        return None

    def inputs(
        self, count: int = 6, dtype: Any = torch.float32, channels: int | None = None, classes: int = CLASSES
    ) -> Inputs:
        """Return inputs of the first shape that the metric accepts. Raises Skipped if it rejects all."""
        check = getattr(self.metric(), "check", None)
        candidates = SHAPES[channels] if channels else ALL_SHAPES
        reasons = {shape: check(shape) if check else None for shape in candidates}
        shape = next((shape for shape, reason in reasons.items() if not reason), None)
        if shape is None:
            raise Skipped(f"it rejects such images: {next(iter(reasons.values()))}")
        channels = shape[0]
        source, target = (network(channels, seed, classes=classes).to(dtype) for seed in (0, 1))
        clean = examples(target, shape, count, dtype=dtype)
        noise = streams(clean).normal("kit", 0, shape).to(dtype)
        trajectory = [(clean.images + 0.05 * step * noise).clamp(0, 1) for step in range(1, STEPS + 1)]
        return Inputs(source, target, clean, trajectory)

    def observe(self, inputs: Inputs, extra: str = "") -> Arrays:
        """Call `observe` as a worker does and return the rows, name -> [n, ...]."""
        clean = inputs.clean
        mean = torch.full(clean.images.shape[1:], 0.5).to(clean.images)
        observer = Observer(
            "", self.metric(), source=inputs.source, target=inputs.target, rng=streams(clean), data_mean=mean
        )
        with with_input(describe(clean, extra=extra)):
            for index, images in enumerate(inputs.trajectory, 1):
                observer.step(Step(index, images), clean)
            observer.end(inputs.trajectory[-1], clean, counted(clean))
            return {name.removeprefix("/"): row for name, row in observer.arrays().items()}

    def scores(self, rows: Mapping[str, NDArray[Any]], extra: str = "") -> list[Score]:
        count = len(next(iter(rows.values()), ()))
        with with_input(f"the rows of {count} images{extra and ', '}{extra}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(self.metric().summarise(rows))


def counted(clean: Examples) -> Queries:
    """Return numbers of queries, the same for an image whatever images are beside it."""
    numbers = torch.tensor([int(image[:4], 16) for image in clean.ids]).to(clean.labels)
    return Queries(numbers % MOST_QUERIES, MOST_QUERIES + 0 * numbers, MOST_QUERIES)


def labelled(scores: list[Score]) -> dict[Any, Score]:
    return {(score.name, *sorted(score.labels.items())): score for score in scores}


@RULES.add()
def needs(case: MetricCase) -> None:
    """The parameters of `observe` are among those that the host passes."""
    parameters = set(inspect.signature(case.metric().observe).parameters)
    if parameters - set(NEEDS):
        raise Broken(f"found the parameters {sorted(parameters - set(NEEDS))}, known are {', '.join(NEEDS)}")


@RULES.add()
def rows(case: MetricCase) -> None:
    """It returns one row per image, the same twice, and leaves networks, images and random states unchanged."""
    inputs = case.inputs()
    before = [inputs.clean.images.clone(), *(images.clone() for images in inputs.trajectory)]
    with (
        with_input(describe(inputs.clean)),
        guarded(inputs.source, by="the metric"),
        guarded(inputs.target, by="the metric"),
    ):
        first = case.observe(inputs)
    if not all(torch.equal(a, b) for a, b in zip(before, [inputs.clean.images, *inputs.trajectory], strict=True)):
        raise Broken("it changed its images in place", describe(inputs.clean))
    again = case.observe(inputs)
    different = [name for name in first if not np.array_equal(first[name], again[name], equal_nan=_floats(first[name]))]
    if different:
        raise Broken(f"the rows {different} differ in a second call", describe(inputs.clean))


@RULES.add(declarable=True)
def shard_independence(case: MetricCase) -> None:
    """The row of an image does not depend on the other images of the batch."""
    precise = torch.float64
    try:
        inputs = case.inputs(dtype=precise)
        complete = case.observe(inputs)
    except Broken:
        inputs = case.inputs()
        complete = case.observe(inputs)
    cuts = ((slice(0, 3), slice(3, 6)), tuple(slice(i, i + 1) for i in range(6)))
    for cut in cuts:
        parts = [case.observe(inputs.take(piece)) for piece in cut]
        for name, expected in complete.items():
            found = np.concatenate([part[name] for part in parts])
            if found.shape != expected.shape or not _close(found, expected):
                pieces = "halves" if len(cut) == 2 else "single images"
                raise Broken(
                    f'the rows "{name}" of {pieces} differ from those of the complete batch', describe(inputs.clean)
                )


@RULES.add(declarable=True)
def three_channels(case: MetricCase) -> None:
    """Images may have three channels."""
    case.scores(case.observe(case.inputs(channels=3)))


@RULES.add(declarable=True)
def two_classes(case: MetricCase) -> None:
    """The networks may have two classes."""
    case.scores(case.observe(case.inputs(classes=2), "networks of two classes"))


@RULES.add()
def unchanged_images(case: MetricCase) -> None:
    """Images that an attack did not change are scored like others."""
    inputs = case.inputs()
    same = Inputs(inputs.source, inputs.target, inputs.clean, [inputs.clean.images] * STEPS)
    case.scores(case.observe(same, "the adversarial images are the clean images"))


@RULES.add()
def one_row(case: MetricCase) -> None:
    """A single image is scored, with n = 1."""
    for score in case.scores(case.observe(case.inputs(count=1))):
        if score.n > 1:
            raise Broken(f"the score {score.name} has n = {score.n}", "the rows of 1 image")


@RULES.add()
def intervals(case: MetricCase) -> None:
    """A score lies in its interval, its n is at most the number of images, and it is the mean of its `per_image`."""
    observed = case.observe(case.inputs())
    for score in case.scores(observed):
        given = f"the score {score.name} of 6 images"
        if math.isfinite(score.low) and not score.low - 1e-9 <= score.value <= score.high + 1e-9:
            raise Broken(f"{score.value:g} is outside [{score.low:g}, {score.high:g}]", given)
        if score.n > 6:
            raise Broken(f"n = {score.n}", given)
        if score.per_image is not None and not _close(np.nanmean(score.per_image), np.asarray(score.value)):
            raise Broken(f"{score.value:g} is not the mean of per_image, {np.nanmean(score.per_image):g}", given)


@RULES.add()
def order(case: MetricCase) -> None:
    """A score does not depend on the order of the images."""
    observed = case.observe(case.inputs())
    reversed_ = labelled(case.scores({name: array[::-1] for name, array in observed.items()}))
    for key, score in labelled(case.scores(observed)).items():
        if key not in reversed_ or not _close(np.asarray(reversed_[key].value), np.asarray(score.value)):
            raise Broken(f"the score {score.name} depends on the order of the images", "6 images in both orders")


@RULES.add(declarable=True)
def missing_value(case: MetricCase) -> None:
    """A NaN row makes the score NaN or is excluded from its n; it is never counted as a value."""
    observed = case.observe(case.inputs())
    usual = labelled(case.scores(observed))
    for name in [name for name, array in observed.items() if _floats(array)]:
        for i in range(6):
            with_nan = {key: array.copy() for key, array in observed.items()}
            with_nan[name][i] = np.nan
            given = f'NaN in the rows "{name}" of image {i}'
            for key, score in labelled(case.scores(with_nan, given)).items():
                counted = math.isfinite(score.value) and score.n == 6 and key in usual
                if counted and not _close(np.asarray(score.value), np.asarray(usual[key].value)):
                    raise Broken(
                        f"the score {score.name} is {score.value:g} with n = 6, as if the value were present", given
                    )


@RULES.add()
def names(case: MetricCase) -> None:
    """The attributes `scores`, `labels` and `rows` name what the metric returns."""
    metric, observed = case.metric(), case.observe(case.inputs())
    scores = case.scores(observed)
    found = {
        "scores": {score.name for score in scores},
        "labels": {label for score in scores for label in score.labels},
    }
    for attribute, names in found.items():
        stated = getattr(metric, attribute, None)
        if stated is not None and names - set(stated):
            raise Broken(
                f"it returns the {attribute} {sorted(names - set(stated))}, which are not in `{attribute}`", "6 images"
            )
    if missing := set(getattr(metric, "rows", ())) - set(observed):
        raise Broken(f"`rows` names {sorted(missing)}, which it does not return", "6 images")


def _floats(array: NDArray[Any]) -> bool:
    return np.issubdtype(array.dtype, np.floating)


def _close(found: Any, expected: Any) -> bool:
    if not _floats(np.asarray(expected)):
        return np.array_equal(found, expected)
    return np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
