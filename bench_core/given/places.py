"""Where single images are, and a reader of them that verifies what it reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError
from .arrays import find_images, read_arrays
from .png import Unusable, read_png


class Place(NamedTuple):
    """Where an image is: a PNG file, or a row of an array in a file. The file is relative to the folder given."""

    file: str
    array: str | None = None
    row: int = 0

    def __str__(self) -> str:
        return ", ".join([self.file] * bool(self.file) + [f"row {self.row}"] * (self.array is not None))


def image_digest(image: NDArray[Any]) -> str:
    """Return the SHA-256 of an image's type, shape and pixels: uint8 levels or float32, [c, h, w]."""
    head = f"{image.dtype.name} {tuple(image.shape)}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).hexdigest()


class Reader:
    """Reads images below a folder, or in a file. Arrays are read once and kept.

    Args:
        root: The folder or the file.
        shape: The shape (c, h, w) that every image must have.
    """

    def __init__(self, root: Path, shape: tuple[int, int, int]) -> None:
        self.root, self.shape = root, shape
        self.arrays: dict[tuple[str, str], NDArray[Any]] = {}

    def path(self, place: Place) -> Path:
        return self.root / place.file if place.file else self.root

    def read(self, place: Place) -> NDArray[Any]:
        """Return an image [c, h, w], uint8 or float32.

        Raises:
            Unusable: A PNG file does not hold the levels of such an image, or cannot be read.
            UsageError: The same, for a file of arrays.
        """
        if place.array is None:
            try:
                content = self.path(place).read_bytes()
            except OSError as error:
                raise Unusable(f"cannot be read ({error.strerror or error})") from None
            levels: NDArray[np.uint8] = read_png(content, self.shape)
            return levels
        key = place.file, place.array
        if key not in self.arrays:
            path = self.path(place)
            self.arrays[key] = find_images(read_arrays(path), path, place.array, self.shape)[1]
        image: NDArray[Any] = self.arrays[key][place.row]
        return image

    def verified(self, place: Place, digest: str) -> NDArray[Any]:
        """Return an image whose digest is known. Raises UsageError if it has changed or cannot be read any more."""
        try:
            image = self.read(place)
        except Unusable as error:
            raise UsageError(Fault(str(self.path(place)), "", str(error))) from None
        except IndexError:
            raise UsageError(Fault(str(self.path(place)), "", "has fewer images than before")) from None
        if image_digest(image) != digest:
            raise UsageError(Fault(str(self.path(place)), "", "has changed during the run (try the run again)"))
        return image
