"""Finds the mean and the standard deviation by which a file's network normalises images, beside its weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError

from .entries import listed

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = 3
MEAN = re.compile(r"(^|\.)((new|image|img|pixel|input|data|norm)_)?(means?|mu)$")
STD = re.compile(r"(^|\.)((new|image|img|pixel|input|data|norm)_)?(stds?|sds?|sigmas?)$")
OF_A_LAYER = re.compile(r"(^|\.)(running|moving|new_running)_\w+$")  # statistics of batch normalisation
NORMALISER = re.compile(r"(^|\.)(normali[sz]e|normali[sz]er|normali[sz]ation|preprocess\w*)\.")
SAME = 2e-3  # files round their constants to three digits


def is_normalisation(name: str, value: Tensor) -> bool:
    """Return whether an entry of a file looks like a constant that normalises images."""
    if OF_A_LAYER.search(name) or value.numel() > CHANNELS**2:
        return False
    constant = (MEAN.search(name) or STD.search(name)) and value.numel() in (1, CHANNELS)
    return bool(constant or NORMALISER.search(name))


def check_normalisation(
    constants: Mapping[str, Tensor], used: Mapping[str, Sequence[float]], given: Mapping[str, Any], file: str | Path
) -> None:
    """Compare the constants in a file with those that normalise the images.

    Args:
        constants: The entries that `is_normalisation`.
        used: The `mean` and `std` that are used.
        given: The options `mean` and `std` of the user; None where the library's are used.
        file: Path, for the error message.

    Raises:
        UsageError: A constant differs from the default that is used in its place.
    """
    differing: dict[str, tuple[str, list[float]]] = {}
    for name, value in constants.items():
        option = "mean" if MEAN.search(name) else "std" if STD.search(name) else ""
        if all(given[key] is not None for key in ([option] if option else ["mean", "std"])):
            continue
        numbers = [float(number) for number in value.flatten().tolist()]
        if not option or not _same(_in_range(numbers), used[option]):
            differing[name] = (option, _in_range(numbers))
    if not differing:
        return
    found = {option: numbers for option, numbers in differing.values() if option}
    options = ", ".join(f"{option} = {_rounded(found.get(option, used[option]))}" for option in ("mean", "std"))
    hint = f"(try {options})" if found else "(try mean = [...], std = [...])"
    message = f"{file} normalises images by {listed(differing)}, which is not what would be used {hint}"
    raise UsageError(Fault("weights", "", message))


def option_faults(mean: list[float] | None, std: list[float] | None) -> list[Fault]:
    """Return a fault for each option that cannot normalise images of three channels in [0, 1]."""
    faults = []
    for option, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if len(values) != CHANNELS:
            message = f"found {values}, of {len(values)} channels (images have {CHANNELS})"
        elif max(values) > 1 and min(values) >= 0:
            message = f"found {values}, but images are in [0, 1] (try {option} = {_rounded([v / 255 for v in values])})"
        elif not all(math.isfinite(value) and value >= 0 for value in values) or (option == "std" and 0 in values):
            message = f"found {values} (try {option} = [0.5, 0.5, 0.5] for images from -1 to 1)"
        else:
            continue
        faults.append(Fault("", option, message))
    return faults


def _in_range(numbers: Sequence[float]) -> list[float]:
    """Return constants in units of the image range [0, 1]; larger ones are in grey levels."""
    return [number / 255 for number in numbers] if max(numbers) > 1 else list(numbers)


def _same(numbers: Sequence[float], used: Sequence[float]) -> bool:
    numbers = list(numbers) * (len(used) // len(numbers))
    return all(abs(number - other) <= SAME for number, other in zip(numbers, used, strict=True))


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 4) for number in list(numbers) * (CHANNELS // len(numbers))]
