"""Image files as arrays: resized and cropped as the libraries' own evaluation transforms do it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError
from bench_core.files import file_digests

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Frame:
    """Scale the shorter side to `resize`, then cut `side` x `side` from the centre, as torchvision does."""

    side: int
    resize: int
    interpolation: Interpolation = "bilinear"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.side, self.side)

    def digests(self, files: Sequence[Path]) -> list[str]:
        """SHA-256 of each file and the frame, which together settle the pixels."""
        how = f"{self.side} {self.resize} {self.interpolation}"
        return [hashlib.sha256(f"{how} {each}".encode()).hexdigest() for each in file_digests(files)]

    def read(self, file: Path) -> NDArray[np.float32]:
        """Give one picture, [3, side, side] in [0, 1]. Raises UsageError that names the file where it is none."""
        from PIL import Image

        try:
            with Image.open(file) as image:
                picture = image.convert("RGB")
        except Exception as error:  # a decoder raises whatever it stumbles over
            raise UsageError(Fault("data", "", f"cannot read the picture {file}: {error}")) from None
        width, height = picture.size
        short, long = sorted(picture.size)
        if short != self.resize:
            other = int(self.resize * long / short)
            size = (self.resize, other) if width <= height else (other, self.resize)
            picture = picture.resize(size, Image.Resampling[self.interpolation.upper()])
        left, top = (round((extent - self.side) / 2.0) for extent in picture.size)
        picture = picture.crop((left, top, left + self.side, top + self.side))
        return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
