"""Adversarial images as others would save them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.attacks.scene import network

from .small import EightBit

EPS = 16


def perturbed(seed: int = 0, channels: int = 1) -> np.ndarray:
    """Return levels [n, c, h, w] inside the L-inf ball of 16 levels."""
    clean = np.rint(255 * EightBit(channels).pixels).astype(int)
    moves = np.random.default_rng(seed).integers(-EPS, EPS + 1, clean.shape)
    return (clean + moves).clip(0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(out, "png")
    return out.getvalue()


def folder_of(tmp_path: Path, images: np.ndarray, name: Callable[[int], str] = "{:05d}.png".format) -> Path:
    root = tmp_path / "theirs"
    root.mkdir()
    for place, image in enumerate(images):
        (root / name(place)).write_bytes(png(image))
    return root


def outcomes(images: np.ndarray, seed: int = 1) -> list[bool]:
    """Return whether network B is fooled, from the images themselves."""
    values = images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images
    predicted = network(images.shape[1], seed).float()(torch.from_numpy(values)).argmax(1)
    return (predicted.numpy() != EightBit(images.shape[1]).labels).tolist()


def fooled(result: Any) -> list[bool]:
    (row,) = [row for row in result.rows if row.metric == "transfer" and row.labels.target == "B"]
    return row.arrays["fooled"][:, 0].tolist()
