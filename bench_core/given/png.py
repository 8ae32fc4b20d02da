"""Reads the levels of a PNG file exactly, or states why it does not hold the levels of an 8-bit image."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
OTHER_FORMATS = {
    b"\xff\xd8\xff": "JPEG-compressed, which changes every pixel",
    b"GIF8": "a GIF file",
    b"BM": "a BMP file",
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"RIFF": "a WebP file",
    b"PK\x03\x04": "a ZIP archive",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself",
}
GREY, RGB, PALETTE = 0, 2, 3
ORIENTATION = 0x0112  # the tag of EXIF


class Unusable(Exception):
    """A file does not hold the levels of an image; the message says why, as a phrase that follows its name."""


def read_png(content: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the levels of a PNG file.

    Checksums are verified, and nothing is converted: neither sizes, nor modes, nor colour profiles.

    Args:
        content: The content of the file.
        shape: The shape (c, h, w) that the image must have.

    Returns:
        The levels, [c, h, w].

    Raises:
        Unusable: The file is no PNG file, is damaged, or has another shape, a palette, an alpha channel, other than 8
            bits, a colour profile, a rotation, or several frames.
    """
    from PIL import Image

    chunks = list(_chunks(content))
    _check_header(chunks[0][1], shape)
    names = {name for name, _ in chunks}
    for chunk, problem in (
        (b"tRNS", "has transparent pixels (save it without transparency)"),
        (b"acTL", "has several frames (save one)"),
        (b"iCCP", "has a colour profile (save the levels without one)"),
    ):
        if chunk in names:
            raise Unusable(problem)
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            if image.getexif().get(ORIENTATION, 1) != 1:
                raise Unusable("is rotated by its EXIF data (save the pixels as they are)")
            pixels = np.asarray(image)
    except Unusable:
        raise
    except Exception as error:  # decoders raise errors of any type
        raise Unusable(f"is damaged ({type(error).__name__})") from None
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise Unusable("is damaged (other pixels than its header says)")
    return np.ascontiguousarray(pixels)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file, the header first. Raises Unusable at the first that is damaged."""
    if not content.startswith(SIGNATURE):
        known = (text for start, text in OTHER_FORMATS.items() if content.startswith(start))
        problem = next(known, "no PNG file") if content else "empty"
        raise Unusable(f"is {problem} (save the levels as PNG)")
    place, name = len(SIGNATURE), b""
    while name != b"IEND":
        size = int.from_bytes(content[place : place + 4], "big")
        name, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        checksum = content[place + 8 + size : place + 12 + size]
        if len(checksum) < 4:
            raise Unusable("is cut off")
        if zlib.crc32(name + data) != int.from_bytes(checksum, "big"):
            raise Unusable(f"is damaged (a wrong checksum at byte {place})")
        if (place == len(SIGNATURE)) != (name == b"IHDR"):
            raise Unusable("is damaged (its header is not its first chunk)")
        yield name, data
        place += 12 + size


def _check_header(header: bytes, shape: tuple[int, int, int]) -> None:
    """Raise Unusable if the header of a PNG file says anything else than 8-bit levels of a shape (c, h, w)."""
    if len(header) != 13:
        raise Unusable("is damaged (a header of another length)")
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour = header[8], header[9]
    channels, rows, columns = shape
    if (height, width) != (rows, columns):
        raise Unusable(f"has {width} x {height} pixels, the dataset's images have {columns} x {rows} (do not resize)")
    if colour == PALETTE:
        raise Unusable(f"has a palette (save it as {'RGB' if channels == 3 else 'greyscale'})")
    if depth != 8:
        raise Unusable(f"has {depth} bits per channel (save 8)")
    if colour not in (GREY, RGB):
        raise Unusable("has an alpha channel (save it without)")
    found = 3 if colour == RGB else 1
    if found != channels:
        raise Unusable(f"has {found} channel{'s' * (found > 1)}, the dataset's images have {channels}")
