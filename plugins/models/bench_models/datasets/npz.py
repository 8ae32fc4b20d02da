"""Images and labels as two arrays of one NumPy file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from ..contents import HEAD, described
from .data_root import data_path
from .pixel_ids import pixel_ids

Layout = Literal["nchw", "nhwc"]
ROUNDING = 1e-5  # of float32 pixels; a grey level is 4e-3
MOST_CHANNELS = 4  # of an image; an image is not so narrow


class NpzImages:
    """Images and labels of an .npz file. An id is the digest of an image's pixels as `load` returns them.

    Args:
        root: Path of the file. By default `BENCH_DATA`.
        images: Name of the array of images, uint8 in [0, 255] or of another type in [0, 1]: [n, c, h, w] or [n, h, w].
        labels: Name of the array of classes, integers [n].
        layout: "nhwc" where the channels are last in the file.

    Raises:
        UsageError: The file cannot be read, or an array is missing or has a wrong type or shape. Pickled arrays are
            refused.
    """

    def __init__(
        self,
        root: str = "",
        images: str = "images",
        labels: str = "labels",
        layout: Layout = "nchw",
    ) -> None:
        path = data_path(root, "an .npz file of images and labels")
        pixels, classes = read_arrays(path, images, labels)
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        elif layout == "nhwc" and pixels.ndim == 4:
            pixels = pixels.transpose(0, 3, 1, 2)
        if pixels.ndim != 4 or classes.shape != (len(pixels),) or not np.issubdtype(classes.dtype, np.integer):
            found = f"images {pixels.shape} and labels {classes.dtype} {classes.shape}"
            raise UsageError(Fault("data", "root", f"{path}: found {found}, not [n, c, h, w] and integers [n]"))
        if pixels.dtype.kind not in "buif":
            message = f'{path}: "{images}" has the type {pixels.dtype} (try uint8, or float32 in [0, 1])'
            raise UsageError(Fault("data", "images", message))
        self.shape: tuple[int, int, int] = pixels.shape[1:]
        check_layout(self.shape, layout, path)
        self.pixels = np.ascontiguousarray(pixels)
        self.labels: Sequence[int] = [int(label) for label in classes]
        self.rounded = outside_by_rounding(self.pixels)
        self.notes = [f"pixels up to {ROUNDING:g} outside [0, 1] are clipped"] if self.rounded else []

    @cached_property
    def ids(self) -> Sequence[str]:
        return pixel_ids(self.load, len(self.pixels))

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        chosen = self.pixels[list(indices)]
        values = chosen.astype(np.float32) / np.float32(255 if chosen.dtype == np.uint8 else 1)
        return values.clip(0, 1) if self.rounded else values


def read_arrays(path: Path, images: str, labels: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the arrays of images and of labels in a file.

    Args:
        path: Path of the file.
        images: Name of the array of images.
        labels: Name of the array of labels.

    Raises:
        UsageError: The file cannot be read, or lacks an array.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") if path.is_file() else io.BytesIO(b"a folder") as file:
            known = described(file.read(HEAD))
        reason = f"no .npz file{f': {known}' if known else ''} (try a file that numpy.savez writes)"
        raise UsageError(Fault("data", "root", f"cannot read {path}: {reason}"))
    try:
        with np.load(path, allow_pickle=False) as file:
            for option, name in (("images", images), ("labels", labels)):
                if name not in file:
                    message = f'{path} has no array "{name}"; it has: {", ".join(file)}'
                    raise UsageError(Fault("data", option, message))
            return file[images], file[labels]
    except UsageError:
        raise
    except Exception as error:  # a damaged archive raises errors of many types
        raise UsageError(Fault("data", "root", f"cannot read {path}: {error or type(error).__name__}")) from None


def outside_by_rounding(pixels: NDArray[Any]) -> bool:
    """Return whether some pixels are outside [0, 1], and all only by a rounding."""
    if pixels.dtype.kind != "f" or not pixels.size:
        return False
    low, high = float(pixels.min()), float(pixels.max())
    return (low < 0 or high > 1) and low >= -ROUNDING and high <= 1 + ROUNDING


def check_layout(shape: tuple[int, int, int], layout: Layout, path: Path) -> None:
    """Raise UsageError if images of a shape (c, h, w) seem to have been read with the wrong layout."""
    if shape[0] > MOST_CHANNELS >= min(shape[1:]):
        other = "nhwc" if layout == "nchw" else "nchw"
        found = f"{path}: images of {shape[0]} channels and {shape[1]} x {shape[2]} pixels"
        raise UsageError(Fault("data", "layout", f'{found} (try layout = "{other}")'))
