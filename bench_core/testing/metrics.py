"""What must hold for every metric: rows of each image's own, and scores that are arithmetic on rows."""

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
from ..registry import Offer
from ..types import Examples, Json, Metric, Score, Step
from ..worker.guard import guarded
from ..worker.observer import Observer
from .scenes import ALL_SHAPES, SHAPES, examples, network, streams, told
from .verdicts import Broken, Rules, Unasked, with_input

RULES = Rules()
STEPS = 3
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Scene:
    """Two networks, clean images, and the images of three steps away from them."""

    source: nn.Module
    target: nn.Module
    clean: Examples
    trajectory: list[Tensor]

    def part(self, rows: slice) -> Scene:
        return Scene(self.source, self.target, self.clean.take(rows), [images[rows] for images in self.trajectory])


@dataclass(frozen=True)
class MetricTrial:
    """A metric with its options. Raises Broken and Unasked, never what the metric raises."""

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
        """Give the rules that the metric says it breaks, and why."""
        return dict(getattr(self.metric(), "deviations", {}))

    def refuses(self) -> str | None:
        """Say why it takes no images, if it takes none."""
        try:
            self.scene()
        except Unasked as refusal:
            return str(refusal)
        return None

    def scene(self, count: int = 6, dtype: Any = torch.float32, channels: int | None = None) -> Scene:
        """Make a scene of the first shape that the metric does not refuse. Raises Unasked where it refuses all."""
        check = getattr(self.metric(), "check", None)
        candidates = SHAPES[channels] if channels else ALL_SHAPES
        reasons = {shape: check(shape) if check else None for shape in candidates}
        shape = next((shape for shape, reason in reasons.items() if not reason), None)
        if shape is None:
            raise Unasked(f"it refuses such images: {next(iter(reasons.values()))}")
        channels = shape[0]
        source, target = network(channels, 0).to(dtype), network(channels, 1).to(dtype)
        clean = examples(target, shape, count, dtype=dtype)
        noise = streams(clean).normal("kit", 0, shape).to(dtype)
        trajectory = [(clean.images + 0.05 * step * noise).clamp(0, 1) for step in range(1, STEPS + 1)]
        return Scene(source, target, clean, trajectory)

    def observe(self, scene: Scene, extra: str = "") -> Arrays:
        """Observe a scene as a worker does, and give the rows, name -> [n, ...]."""
        mean = torch.full(scene.clean.images.shape[1:], 0.5).to(scene.clean.images)
        observer = Observer(
            "", self.metric(), source=scene.source, target=scene.target, rng=streams(scene.clean), data_mean=mean
        )
        with with_input(told(scene.clean, extra=extra)):
            for index, images in enumerate(scene.trajectory, 1):
                observer.step(Step(index, images), scene.clean)
            observer.end(scene.trajectory[-1], scene.clean)
            return {name.removeprefix("/"): row for name, row in observer.arrays().items()}

    def scores(self, rows: Mapping[str, NDArray[Any]], extra: str = "") -> list[Score]:
        count = len(next(iter(rows.values()), ()))
        with with_input(f"the rows of {count} images{extra and ', '}{extra}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(self.metric().summarise(rows))


def labelled(scores: list[Score]) -> dict[Any, Score]:
    return {(score.name, *sorted(score.labels.items())): score for score in scores}


@RULES.add()
def needs(trial: MetricTrial) -> None:
    """Its `observe` asks only for what there is, by name."""
    asked = set(inspect.signature(trial.metric().observe).parameters)
    if asked - set(NEEDS):
        raise Broken(f"it asks for {sorted(asked - set(NEEDS))}; known: {', '.join(NEEDS)}")


@RULES.add()
def rows(trial: MetricTrial) -> None:
    """It gives a row for each image, the same twice, and leaves networks, images and random states alone."""
    scene = trial.scene()
    before = [scene.clean.images.clone(), *(images.clone() for images in scene.trajectory)]
    with with_input(told(scene.clean)), guarded(scene.source), guarded(scene.target):
        first = trial.observe(scene)
    if not all(torch.equal(a, b) for a, b in zip(before, [scene.clean.images, *scene.trajectory], strict=True)):
        raise Broken("it changed its images in place", told(scene.clean))
    again = trial.observe(scene)
    different = [name for name in first if not np.array_equal(first[name], again[name], equal_nan=_floats(first[name]))]
    if different:
        raise Broken(f"the rows {different} differ when asked twice", told(scene.clean))


@RULES.add(declarable=True)
def shard_independence(trial: MetricTrial) -> None:
    """The rows of two halves are the rows of the whole, and an image's row is its own."""
    precise = torch.float64
    try:
        scene = trial.scene(dtype=precise)
        whole = trial.observe(scene)
    except Broken:
        scene = trial.scene()
        whole = trial.observe(scene)
    cuts = ((slice(0, 3), slice(3, 6)), tuple(slice(i, i + 1) for i in range(6)))
    for cut in cuts:
        parts = [trial.observe(scene.part(piece)) for piece in cut]
        for name, expected in whole.items():
            found = np.concatenate([part[name] for part in parts])
            if found.shape != expected.shape or not _close(found, expected):
                apart = "halves" if len(cut) == 2 else "single images"
                raise Broken(f'the rows "{name}" of {apart} are not those of the whole', told(scene.clean))


@RULES.add(declarable=True)
def three_channels(trial: MetricTrial) -> None:
    """Images may have three channels."""
    trial.scores(trial.observe(trial.scene(channels=3)))


@RULES.add()
def unchanged_images(trial: MetricTrial) -> None:
    """An attack that changed nothing is observed and scored like any other."""
    scene = trial.scene()
    same = Scene(scene.source, scene.target, scene.clean, [scene.clean.images] * STEPS)
    trial.scores(trial.observe(same, "the adversarial images are the clean ones"))


@RULES.add()
def one_row(trial: MetricTrial) -> None:
    """One image is scored, with n = 1."""
    for score in trial.scores(trial.observe(trial.scene(count=1))):
        if score.n > 1:
            raise Broken(f"the score {score.name} says n = {score.n}", "the rows of 1 image")


@RULES.add()
def intervals(trial: MetricTrial) -> None:
    """A score lies in its interval, is of at most all images, and is the mean of what it says it is the mean of."""
    observed = trial.observe(trial.scene())
    for score in trial.scores(observed):
        given = f"the score {score.name} of 6 images"
        if math.isfinite(score.low) and not score.low - 1e-9 <= score.value <= score.high + 1e-9:
            raise Broken(f"{score.value:g} is outside [{score.low:g}, {score.high:g}]", given)
        if score.n > 6:
            raise Broken(f"n = {score.n}", given)
        if score.per_image is not None and not _close(np.nanmean(score.per_image), np.asarray(score.value)):
            raise Broken(f"{score.value:g} is not the mean of per_image, {np.nanmean(score.per_image):g}", given)


@RULES.add()
def order(trial: MetricTrial) -> None:
    """The order of the images does not matter to a score."""
    observed = trial.observe(trial.scene())
    turned = labelled(trial.scores({name: array[::-1] for name, array in observed.items()}))
    for key, score in labelled(trial.scores(observed)).items():
        if key not in turned or not _close(np.asarray(turned[key].value), np.asarray(score.value)):
            raise Broken(
                f"the score {score.name} depends on the order of the images", "6 images, first to last and back"
            )


@RULES.add(declarable=True)
def missing_value(trial: MetricTrial) -> None:
    """A row that is NaN makes the score NaN or is left out of its n; it is never counted as something else."""
    observed = trial.observe(trial.scene())
    usual = labelled(trial.scores(observed))
    for name in [name for name, array in observed.items() if _floats(array)]:
        for i in range(6):
            holed = {key: array.copy() for key, array in observed.items()}
            holed[name][i] = np.nan
            given = f'NaN in the rows "{name}" of image {i}'
            for key, score in labelled(trial.scores(holed, given)).items():
                silent = math.isfinite(score.value) and score.n == 6 and key in usual
                if silent and not _close(np.asarray(score.value), np.asarray(usual[key].value)):
                    raise Broken(f"the score {score.name} is {score.value:g} of n = 6, as if there were a value", given)


@RULES.add()
def names(trial: MetricTrial) -> None:
    """The names in `scores`, `labels` and `rows`, against which suites are checked, are those that it gives."""
    metric, observed = trial.metric(), trial.observe(trial.scene())
    given = trial.scores(observed)
    found = {"scores": {score.name for score in given}, "labels": {label for score in given for label in score.labels}}
    for what, names in found.items():
        said = getattr(metric, what, None)
        if said is not None and names - set(said):
            raise Broken(f"it gives the {what} {sorted(names - set(said))}, which `{what}` does not name", "6 images")
    if missing := set(getattr(metric, "rows", ())) - set(observed):
        raise Broken(f"`rows` names {sorted(missing)}, which it does not give", "6 images")


def _floats(array: NDArray[Any]) -> bool:
    return np.issubdtype(array.dtype, np.floating)


def _close(found: Any, expected: Any) -> bool:
    if not _floats(np.asarray(expected)):
        return np.array_equal(found, expected)
    return np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
