"""Reads images from .npz, .npy and .pth files, as float32 in [0, 1] or as 8-bit levels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError

SUFFIXES = (".npz", ".npy", ".pt", ".pth")
KNOWN = ("adversarial", "adv_complete", "x_adv", "adv", "images", "x")  # names of the array, the most telling first
TOLERANCE = 1e-5  # by which a rounding may be outside [0, 1]

Arrays = Mapping[str, NDArray[Any]]


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a file by name; "" is the name of a single one. Pickled objects are refused.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        if path.suffix in (".pt", ".pth"):
            return _read_tensors(path)
        if path.suffix == ".npz" and not zipfile.is_zipfile(path):
            raise ValueError("no .npz file (try a file that numpy.savez writes)")
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"": found}
        with found:
            return {name: found[name] for name in found}
    except Exception as error:  # a damaged file raises errors of many types
        if isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise UsageError(Fault(str(path), "", "holds Python objects, which are not loaded (try numbers)")) from None
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0] or type(error).__name__
        raise UsageError(Fault(str(path), "", f"cannot read: {reason[:200]}")) from None


def _read_tensors(path: Path) -> Arrays:
    """Return the tensors that `torch.save` wrote: one, or a dictionary of them, as AutoAttack's evaluation writes."""
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception:
        raise ValueError("damaged, or it holds more than tensors") from None
    tensors = found if isinstance(found, dict) else {"": found}
    found = {str(name): value.detach() for name, value in tensors.items() if isinstance(value, torch.Tensor)}
    return {name: (value.float() if value.dtype == torch.bfloat16 else value).numpy() for name, value in found.items()}


def find_images(arrays: Arrays, path: Path, name: str | None, shape: tuple[int, int, int]) -> tuple[str, NDArray[Any]]:
    """Return the array of images in a file, with its name.

    Args:
        arrays: The arrays of the file.
        path: The file, for errors.
        name: The name of the array; by default one of `KNOWN`, or the only one of images.
        shape: The shape (c, h, w) of the dataset's images. Arrays with the channels last are transposed.

    Returns:
        The name, and the images [n, c, h, w], uint8 levels or float32 in [0, 1].

    Raises:
        UsageError: There is no such array, or it has another shape, type or range.
    """
    listed = ", ".join(f"{key or 'an array'} {value.shape}" for key, value in arrays.items()) or "no arrays"
    candidates = [key for key, value in arrays.items() if value.ndim in (3, 4)]
    chosen = name if name is not None else next((key for key in KNOWN if key in candidates), None)
    if chosen is None and len(candidates) == 1:
        chosen = candidates[0]
    if chosen is None or chosen not in arrays:
        what = "no array of images" if name is None else f'no array "{name}"'
        raise UsageError(Fault(str(path), "", f"{what}; found {listed}"))
    images = arrays[chosen]
    if images.ndim == 3 and shape[0] == 1:
        images = images[:, None]
    if images.ndim == 4 and images.shape[1:] != shape and images.shape[1:] == (*shape[1:], shape[0]):
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1:] != shape:
        message = f"the images have the shape {tuple(images.shape[1:])}, the dataset's {shape}"
        raise UsageError(Fault(str(path), chosen, message))
    return chosen, _in_range(images, path, chosen)


def _in_range(images: NDArray[Any], path: Path, name: str) -> NDArray[Any]:
    """Return images as uint8 levels or as float32 in [0, 1]. Raises UsageError for any other type or range."""
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind != "f":
        raise UsageError(Fault(str(path), name, f"the type is {images.dtype} (try uint8, or float32 in [0, 1])"))
    if not np.isfinite(images).all():
        raise UsageError(Fault(str(path), name, "found NaN or infinity"))
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        hint = "normalised images? undo it" if low < -TOLERANCE else "grey levels? save uint8, or divide by 255"
        raise UsageError(Fault(str(path), name, f"the images are from {low:.4g} to {high:.4g}, not in [0, 1] ({hint})"))
    return np.ascontiguousarray(images.astype(np.float32).clip(0, 1))
