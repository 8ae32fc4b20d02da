"""Resizes and crops an image as torchvision's evaluation transforms do.

The digest of this file is part of the images' ids (see `decode.decoder`): a change makes stored results stale.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .decode import decode, decoder

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class CenterCrop:
    """Resizes an image so that its shorter side has a given length, and cuts a square from its centre.

    Attributes:
        side: Height and width in pixels of the square.
        resize: Length in pixels to which the shorter side is scaled first.
        interpolation: How the image is scaled.
        keep: Whether an image of `side` x `side` pixels is left as it is, such as a saved adversarial image, which
            scaling would change.
    """

    side: int
    resize: int
    interpolation: Interpolation = "bilinear"
    keep: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.side, self.side)

    def image_id(self, content_sha256: str) -> str:
        """Return the SHA-256 of all that determines the pixels: the file's digest, these sizes, the decoder."""
        options = f"{self.side} {self.resize} {self.interpolation} {self.keep}"
        return hashlib.sha256(f"{decoder()} {options} {content_sha256}".encode()).hexdigest()

    def pixels(self, content: bytes) -> NDArray[np.float32]:
        """Return the content of an image file as pixels [3, side, side] in [0, 1]; raises what `decode` raises."""
        from PIL import Image

        picture = decode(content)
        width, height = picture.size
        short, long = sorted(picture.size)
        if short != self.resize and not (self.keep and picture.size == (self.side, self.side)):
            other = int(self.resize * long / short)
            size = (self.resize, other) if width <= height else (other, self.resize)
            picture = picture.resize(size, Image.Resampling[self.interpolation.upper()])
        left, top = (round((extent - self.side) / 2.0) for extent in picture.size)
        picture = picture.crop((left, top, left + self.side, top + self.side))
        return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
