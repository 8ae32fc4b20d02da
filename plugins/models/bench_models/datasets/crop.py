"""Decodes an image file, resizes and crops it as torchvision's evaluation transforms do.

The digest of this file is part of the images' ids, as is what decodes and resizes: a change makes stored results stale.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class CenterCrop:
    """Resizes an image so that its shorter side has a given length, and cuts a square from its centre.

    Attributes:
        side: Height and width in pixels of the square.
        resize: Length in pixels to which the shorter side is scaled first.
        interpolation: How the image is scaled.
    """

    side: int
    resize: int
    interpolation: Interpolation = "bilinear"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.side, self.side)

    def image_id(self, content_sha256: str) -> str:
        """Return the SHA-256 of all that determines the pixels: the file's digest, these sizes, the decoder."""
        options = f"{self.side} {self.resize} {self.interpolation}"
        return hashlib.sha256(f"{decoder()} {options} {content_sha256}".encode()).hexdigest()

    def pixels(self, content: bytes) -> NDArray[np.float32]:
        """Return the content of an image file as pixels [3, side, side] in [0, 1]; raises what the decoder raises."""
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            picture = image.convert("RGB")
        width, height = picture.size
        short, long = sorted(picture.size)
        if short != self.resize:
            other = int(self.resize * long / short)
            size = (self.resize, other) if width <= height else (other, self.resize)
            picture = picture.resize(size, Image.Resampling[self.interpolation.upper()])
        left, top = (round((extent - self.side) / 2.0) for extent in picture.size)
        picture = picture.crop((left, top, left + self.side, top + self.side))
        return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)


@cache
def decoder() -> str:
    """Return the versions of Pillow and of its codecs, and the digest of this file."""
    import PIL
    from PIL import features

    codecs = [f"{name} {features.version(name)}" for name in ("libjpeg_turbo", "zlib", "webp")]
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return " ".join(["pillow", PIL.__version__, *codecs, code])
