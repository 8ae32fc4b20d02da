"""Checks a dataset's images, a network's logits and an attack's images against what the host expects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import ContractError, Fault, UsageError
from ..norms import TOLERANCE, perturbation_size, size_limit
from ..types import Budget
from .checks import Checks


def check_examples(images: Tensor, labels: Tensor, shape: tuple[int, int, int]) -> None:
    """Check a dataset's images.

    Args:
        images: The images that the dataset loaded, [n, c, h, w].
        labels: Their classes, [n].
        shape: The shape (c, h, w) that the dataset declares.

    Raises:
        UsageError: if dtype, shape, range or a class is wrong.
    """
    if images.dtype != torch.float32 or tuple(images.shape) != (len(labels), *shape):
        found = f"{images.dtype} {tuple(images.shape)}, not float32 {(len(labels), *shape)}"
        raise UsageError(Fault("data", "", f"the images are {found}"))
    if not (images.isfinite().all() and images.amin() >= -TOLERANCE and images.amax() <= 1 + TOLERANCE):
        found = f"from {images.amin().item():.4g} to {images.amax().item():.4g}"
        raise UsageError(Fault("data", "", f"the images are {found}, not in [0, 1]"))
    if labels.amin() < 0:
        raise UsageError(Fault("data", "", f"found the class {labels.amin().item()} (classes are counted from 0)"))


def check_logits(
    logits: Tensor, labels: Tensor, model: str, classes: int | None = None, options: Collection[str] = ("classes",)
) -> None:
    """Check a network's outputs for clean images.

    Args:
        logits: The outputs, expected to be [n, classes].
        labels: The images' classes, [n].
        model: The model's label, for errors.
        classes: The number of classes of the dataset; None if unknown.
        options: The names of the dataset's options, to suggest one that it has.

    Raises:
        UsageError: if the outputs are not finite logits of the dataset's classes.
    """
    key = f"models.{model}"
    of_data = " data.classes?" if "classes" in options else " data.kind?"
    if logits.ndim != 2 or len(logits) != len(labels):
        found = f"outputs of shape {tuple(logits.shape)} for {len(labels)} images"
        raise UsageError(Fault(key, "", f"found {found}, not logits [n, classes]"))
    if not logits.isfinite().all():
        raise UsageError(Fault(key, "", f"found NaN or infinite outputs for some of {len(labels)} clean images"))
    if labels.amax() >= logits.shape[1]:
        found = f"the network has {logits.shape[1]} classes, the data have the class {labels.amax().item()}"
        raise UsageError(Fault(key, "", f"{found} (other weights?{of_data})"))
    if classes is not None and logits.shape[1] != classes:
        found = f"the network has {logits.shape[1]} classes, the data have {classes}"
        raise UsageError(Fault(key, "", f"{found} (other weights? label_offset?{of_data})"))


def check_targets(targets: Tensor | None, indices: Sequence[int], classes: int, model: str) -> None:
    """Raise UsageError if a network lacks the class that an attack aims at.

    Args:
        targets: The classes aimed at, int64 [n]; None for an untargeted attack.
        indices: The images' positions in the dataset, counted from 0.
        classes: The number of the network's outputs.
        model: The name of the network, for the error.
    """
    beyond = [] if targets is None else ((targets < 0) | (targets >= classes)).nonzero().flatten().tolist()
    if beyond and targets is not None:
        image, target = indices[beyond[0]] + 1, int(targets[beyond[0]])
        found = f"image {image} of the dataset, counted from 1, has the target class {target}"
        raise UsageError(Fault("data", "", f"{found}, but {model} has the classes 0 to {classes - 1}"))


def check_images(clean: Tensor, images: Any, budget: Budget, checks: Checks | None = None) -> None:
    """Check an attack's images against the clean ones and the budget.

    Args:
        clean: The clean images [n, c, h, w].
        images: What the attack returned.
        budget: The norm and the radius of the balls.
        checks: The checks of the job, which may look at the values later; None to look at them at once.

    Raises:
        ContractError: with the first mistake found.
    """
    if not isinstance(images, Tensor):
        raise ContractError(f"the attack returned {type(images).__name__}, not a tensor")
    for attribute in ("shape", "dtype", "device"):
        before, after = getattr(clean, attribute), getattr(images, attribute)
        if before != after:
            raise ContractError(f"{attribute} of the images changed: {before} to {after}")
    sizes = perturbation_size(images - clean, budget.norm)
    size = sizes.amax()
    measured = (
        images.isfinite().all(), images.amin(), images.amax(), size > size_limit(budget), size, sizes.argmax(),
    )  # fmt: skip
    (checks or Checks()).judge(torch.stack([each.double() for each in measured]), partial(judge_images, budget))


def judge_images(budget: Budget, measured: Sequence[float]) -> None:
    """Raise ContractError for images that are not finite, or leave [0, 1] or the ball, as `check_images` measured."""
    finite, low, high, outside, size, worst = measured
    if not finite:
        raise ContractError("NaN or infinity in the images")
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ContractError(f"images outside [0, 1]: from {low:.6g} to {high:.6g}")
    if outside:
        found = f"image {worst:.0f} lies outside the {budget.norm} ball"
        raise ContractError(f"{found}: {size:.6g} > eps {budget.eps:.6g}")
