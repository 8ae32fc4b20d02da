"""Names the likely mistake in the preprocessing of a network that is much less accurate than it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from ..executors.dispatch import Dispatcher
from ..planning.planner import preprocessing_jobs
from ..planning.resolve import ResolvedSuite
from ..planning.specs import ModelSpec
from ..statistics import wilson
from ..types import Json
from ..worker.mistakes import AS_IT_IS, CHANGES, COLOURS, EXAMINED_IMAGES, Change, Constants

STAGE = "likely mistakes"
ALPHA = 0.001  # probability that a change that changes nothing is named, over all changes
Z = 3.29


def likely_mistakes(resolved: ResolvedSuite, dispatcher: Dispatcher, labels: Sequence[str]) -> dict[str, str]:
    """Measure the accuracy of networks under likely mistakes, on the first images of the dataset.

    If a network is made of others, such as an ensemble or a defended network, its parts are measured first: the mistake
    is in a part, no single change of the images corrects different mistakes in several parts, and a defence may clip
    the changed images.

    Args:
        resolved: The suite, with its images.
        dispatcher: Computes the predictions.
        labels: The labels of the networks.

    Returns:
        What is likely wrong, by the network's label; networks without a likely mistake are left out.
    """
    made_of = {label: parts_of(resolved, label, resolved.models[label]) for label in labels}
    parts = {name: spec for found in made_of.values() for name, spec in found.items()}
    within = replace(resolved, models={**resolved.models, **parts})
    mistaken = _measured(within, dispatcher, list(parts))
    named: dict[str, str] = {}
    for label, found in made_of.items():
        texts = [f"its part {name}: {mistaken[name]}" for name in found if name in mistaken]
        named |= {label: "; ".join(texts)} if texts else {}
    return named | _measured(resolved, dispatcher, [label for label in labels if label not in named])


def parts_of(resolved: ResolvedSuite, label: str, model: ModelSpec) -> dict[str, ModelSpec]:
    """Return the models that a model is made of, however deep, by their labels."""
    found: dict[str, ModelSpec] = {}
    for option, value in model.parts.items():
        named = resolved.suite.models[label].options[option]
        labels, parts = (named, value) if isinstance(value, tuple) else ([named], (value,))
        for name, part in zip(labels, parts, strict=True):
            found |= {name: part, **parts_of(resolved, name, part)}
    return found


def _measured(resolved: ResolvedSuite, dispatcher: Dispatcher, labels: Sequence[str]) -> dict[str, str]:
    jobs = preprocessing_jobs(resolved, labels, EXAMINED_IMAGES)
    rows, _ = dispatcher.compute(STAGE, jobs)
    named = {}
    for label, job in zip(labels, jobs, strict=True):
        (cell,) = job.cells
        predicted = rows.get(job.address, {}).get(cell.key)
        change = None if predicted is None else best_change(predicted, np.asarray(job.job.batch.labels))
        if predicted is None or change is None:
            continue
        share = np.mean(predicted[change] == np.asarray(job.job.batch.labels))
        where = f"accuracy is {share:.0%} of the first {job.images} if {CHANGES[change].done}"
        hint = advice(CHANGES[change], resolved.models[label].options)
        named[label] = f"{where}: {CHANGES[change].mistake} {hint}"
    return named


def best_change(predicted: Mapping[str, NDArray[np.int64]], truth: NDArray[np.int64]) -> str | None:
    """Return the change of the images under which a network is most accurate; None if none is surely better.

    A change is surely better if a sign test of the images that it wins and loses says so, and if the accuracy is
    more than that of always answering with one class.

    Args:
        predicted: Predicted classes [n] by the name of the change, with those of the unchanged images.
        truth: True classes [n].
    """
    before = predicted[AS_IT_IS] == truth
    changes = [name for name in CHANGES if name in predicted]
    accurate = {name: predicted[name] == truth for name in changes}
    best = max(changes, key=lambda name: accurate[name].sum(), default=None)  # the first of equal ones
    if best is None:
        return None
    wins, losses = int((accurate[best] & ~before).sum()), int((before & ~accurate[best]).sum())
    tail = sum(comb(wins + losses, count) for count in range(wins, wins + losses + 1)) / 2 ** (wins + losses)
    trivial = np.unique(truth, return_counts=True)[1].max() / len(truth)
    surely = tail <= ALPHA / len(changes) and wilson(int(accurate[best].sum()), len(truth), Z)[0] > trivial
    return best if surely else None


def advice(change: Change, options: Json) -> str:
    """Return what would do, in parentheses: the options `mean` and `std` of a recipe that has them, or else words."""
    if change.reverse:
        return "(try its channels reversed before the network)"
    if not {"mean", "std"} <= set(options):
        return "(try this before the network)"
    unknown = options["mean"] is None or options["std"] is None
    if change.by_data or (unknown and change.undo is None):
        return "(try other mean and std)"
    # the library's default is not known here; where undoing a normalisation helps, it is that one
    used = _channels(change.undo) if unknown and change.undo else (options["mean"], options["std"])
    mean, std = (np.asarray(values, float) for values in used)
    scale, shift = affine(change)
    return f"(try mean = {_rounded((mean - shift) / scale)}, std = {_rounded(std / scale)})"


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def affine(change: Change) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the factor and the summand of each of three channels of a change that keeps their order."""
    scale, shift = np.ones(COLOURS), np.zeros(COLOURS)
    if change.apply is not None:
        mean, std = _channels(change.apply)
        scale, shift = scale / std, (shift - mean) / std
    if change.undo is not None:
        mean, std = _channels(change.undo)
        scale, shift = scale * std, shift * std + mean
    return scale, shift


def _channels(constants: Constants) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, std = (np.broadcast_to(np.asarray(values, float), COLOURS) for values in constants)
    return mean, std
