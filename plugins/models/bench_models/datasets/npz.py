"""Images and labels as two arrays of one NumPy file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from .data_root import data_path
from .pixel_ids import pixel_ids


class NpzImages:
    """Images and labels of an .npz file. An id is the digest of an image's pixels as `load` returns them.

    Args:
        root: Path of the file. By default `BENCH_DATA`.
        images: Name of the array of images, uint8 in [0, 255] or of another type in [0, 1]: [n, c, h, w] or [n, h, w].
        labels: Name of the array of classes, integers [n].
        layout: "nhwc" where the channels are last in the file.

    Raises:
        UsageError: The file cannot be read, or an array is missing or has a wrong shape. Pickled arrays are refused.
    """

    def __init__(
        self,
        root: str = "",
        images: str = "images",
        labels: str = "labels",
        layout: Literal["nchw", "nhwc"] = "nchw",
    ) -> None:
        path = data_path(root, "an .npz file of images and labels")
        if not zipfile.is_zipfile(path):
            reason = "no .npz file (try a file that numpy.savez writes)"
            raise UsageError(Fault("data", "root", f"cannot read {path}: {reason}"))
        try:
            with np.load(path, allow_pickle=False) as file:
                missing = [name for name in (images, labels) if name not in file]
                if missing:
                    message = f'{path} has no array "{missing[0]}"; it has: {", ".join(file)}'
                    raise UsageError(Fault("data", "images" if missing[0] == images else "labels", message))
                pixels, classes = file[images], file[labels]
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(Fault("data", "root", f"cannot read {path}: {error}")) from None
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        elif layout == "nhwc" and pixels.ndim == 4:
            pixels = pixels.transpose(0, 3, 1, 2)
        if pixels.ndim != 4 or classes.shape != (len(pixels),) or not np.issubdtype(classes.dtype, np.integer):
            found = f"images {pixels.shape} and labels {classes.dtype} {classes.shape}"
            raise UsageError(Fault("data", "root", f"{path}: found {found}, not [n, c, h, w] and integers [n]"))
        self.pixels = np.ascontiguousarray(pixels)
        self.shape: tuple[int, int, int] = pixels.shape[1:]
        self.labels: Sequence[int] = [int(label) for label in classes]

    @cached_property
    def ids(self) -> Sequence[str]:
        return pixel_ids(self.load, len(self.pixels))

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        chosen = self.pixels[list(indices)]
        return chosen.astype(np.float32) / np.float32(255 if chosen.dtype == np.uint8 else 1)
