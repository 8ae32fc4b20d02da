"""Checks what a suite and its dataset say about each other, before any run. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..donors import donor_indices
from ..errors import Fault, in_grey_levels
from ..suite.model import Suite
from ..types import Images
from .uses import AttackUse

NAMED = 3  # images that one fault names


def data_faults(suite: Suite, images: Images) -> list[Fault]:
    """Return the faults of the budgets for images of this size, and of the dataset's target classes."""
    return [*_budget_faults(suite, images.shape), *_target_faults(suite, images)]


def donor_faults(suite: Suite, attacks: Mapping[tuple[str, str, str], AttackUse], images: Images) -> list[Fault]:
    """Return the faults of attacks that mix in images of other classes, if all that they may mix in have one class.

    Args:
        suite: The suite.
        attacks: Its attacks, by label, source and budget.
        images: The dataset.
    """
    counts = {label: use.donors for (label, _, _), use in attacks.items() if use.donors_of_other_classes}
    faults = list[Fault]()
    for label, count in counts.items():
        classes = {int(images.labels[index]) for index in donor_indices(len(images.labels), count)}
        if len(classes) == 1:
            message = f"it mixes in images of other classes, but its {count} donors of the dataset have one class"
            hint = "(try a dataset of several classes, or more donors)"
            faults.append(Fault(suite.file, f"attacks.{label}", f"{message} {hint}"))
    return faults


def _budget_faults(suite: Suite, shape: Sequence[int]) -> Iterator[Fault]:
    """Find L2 lengths above the largest distance of two images, which is the diameter of the cube [0, 1]^d."""
    diameter = math.sqrt(math.prod(shape))
    for label, budget in suite.budgets.items():
        for name, value in (("eps", budget.eps), ("step_size", budget.step_size)):
            if budget.norm == "l2" and value > diameter:
                size = " x ".join(map(str, shape))
                message = f"{in_grey_levels(name, value)}: two images of {size} differ by at most {diameter:.4g} in L2"
                yield Fault(suite.file, f"budgets.{label}.{name}", message)


def _target_faults(suite: Suite, images: Images) -> Iterator[Fault]:
    """Find target classes that an attack cannot aim at; only a network's outputs tell which classes it lacks."""
    targets = getattr(images, "targets", None)
    if not suite.targeted or targets is None:
        return
    if len(targets) != len(images.labels):
        yield Fault(suite.file, "data", f"found {len(targets)} target classes for {len(images.labels)} images")
        return
    classes = getattr(images, "class_count", None)
    pairs = list(zip(targets, images.labels, strict=True))
    negative = [place for place, (target, _) in enumerate(pairs) if target < 0]
    too_large = [place for place, (target, _) in enumerate(pairs) if classes is not None and target >= classes]
    aimless = [place for place, (target, label) in enumerate(pairs) if target == label]
    for places, wrong in (
        (negative, "a negative target class (is the first class of the list 1?)"),
        (too_large, f"a target class above the last of {classes} classes"),
        (aimless, "its own class as the target class, which every attack would reach (try another class)"),
    ):
        if places:
            yield Fault(suite.file, "data", f"{numbered(places)} of the dataset, counted from 1: {wrong}")


def numbered(places: Sequence[int]) -> str:
    """Name images by their positions, counted from 0, as readers count them: from 1."""
    listed = ", ".join(str(place + 1) for place in places[:NAMED])
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return f"image{'s' * (len(places) > 1)} {listed}{more}"
