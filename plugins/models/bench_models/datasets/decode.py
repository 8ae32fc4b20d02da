"""Decodes an image file to upright 8-bit sRGB, or raises with what about it has no such form.

The digest of this file is part of the images' ids, as are the versions of all decoders (see `decoder`).
"""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

CODECS = ("libjpeg_turbo", "zlib", "webp", "avif", "jpg_2000", "libtiff", "littlecms2")
PARTS = ("decode.py", "crop.py")  # the files that determine an image's pixels
ORIENTATION = 0x0112  # the tag of EXIF
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of colour profiles, and Pillow's mode for each


class Undecodable(Exception):
    """An image has no form as 8-bit sRGB; the message says why and what would do."""


def decode(content: bytes) -> Image:
    """Return the content of an image file as an upright image of mode RGB.

    16 bits become 8. A colour profile is converted to sRGB, and the rotation in a photograph's EXIF data is applied.

    Raises:
        Undecodable: The image is partly transparent, animated, or of a mode without a fixed range.
        Exception: What Pillow raises for a damaged file, of any type.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # an MPO's other frames are the photograph's preview and depth
            raise Undecodable(f"it has {frames} frames (try a file of one)")
        image.load()
        return in_rgb(upright(image))


def upright(image: Image) -> Image:
    """Apply the rotation or reflection in an image's EXIF data; damaged EXIF data are ignored."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow raises errors of any type
        return image
    return image.transpose(turns[orientation]) if orientation in turns else image


def in_rgb(image: Image) -> Image:
    """Convert an image to 8-bit sRGB. Raises Undecodable if that would lose more than rounding."""
    from PIL.Image import fromarray

    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        if "transparency" in image.info:
            raise Undecodable("it has a transparent grey level (try a copy without transparency)")
        grey = np.asarray(image).astype(np.uint32)
        image = fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode in ("I", "F", "LAB"):
        raise Undecodable(f"its mode is {image.mode}, which has no fixed range of RGB values (try 8-bit RGB)")
    if image.mode in ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        lowest = image.getchannel("A").getextrema()[0]
        if lowest != 255:  # what a viewer shows there depends on its background
            raise Undecodable("it is partly transparent (try a copy on a background)")
        image = image.convert("RGB")
    return in_srgb(image, profile) if profile else image.convert("RGB")


def in_srgb(image: Image, profile: bytes) -> Image:
    """Convert an image with a colour profile; a damaged profile, or one of another mode, is ignored."""
    from PIL import ImageCms

    transform = _to_srgb(profile)
    if transform is None or transform[0] != image.mode:
        return image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform[1])
    assert converted is not None
    return converted


@cache
def _to_srgb(profile: bytes) -> tuple[str, Any] | None:
    """Return the mode of the images of a profile, and their conversion; None if they are sRGB, or it is damaged."""
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(opened).lower():
            return None
        mode = SPACES[opened.profile.xcolor_space]
        return mode, ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, KeyError, TypeError):
        return None


@cache
def decoder() -> str:
    """Return the versions of Pillow and of its codecs, and the digests of the files in `PARTS`."""
    import PIL
    from PIL import features

    codecs = [f"{name} {features.version(name)}" for name in CODECS]
    code = [hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest() for name in PARTS]
    return " ".join(["pillow", PIL.__version__, *codecs, *code])
