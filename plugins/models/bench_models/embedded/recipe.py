"""Recipes for the embedded networks and images. Torch is imported when a network is built."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from .zoo import Zoo

if TYPE_CHECKING:
    from bench_core.types import Model

HERE = Path(__file__).parent


def zoo() -> Zoo:
    return Zoo("embedded", HERE)


def names() -> list[str]:
    return zoo().names()


def card(name: str) -> dict[str, Any]:
    """Return the model card of an embedded network. Raises UsageError for an unknown network."""
    return zoo().card(name)


def claims(name: str) -> dict[str, Any]:
    """Return the statements in the model card of an embedded network that `bench check` verifies."""
    content = card(name)
    shape = (content["input"]["channels"], content["input"]["side"], content["input"]["side"])
    accuracy = content["accuracy_shipped_1000"]
    return {"shape": shape, "classes": content["classes"], "data": "embedded", "accuracy": accuracy}


def identity(name: str) -> dict[str, Any]:
    """Return the digest of the weights. Raises UsageError if they are missing or their digest is not the card's."""
    return zoo().identity(name)


def build(name: str) -> Model:
    """Build an embedded network with its weights: images [n, 1, 28, 28] in [0, 1] to logits [n, 10]."""
    from safetensors.torch import load_file as load_weights

    from bench_core.lean import lean

    from .architectures import ARCHITECTURES

    identity(name)
    network = ARCHITECTURES[card(name)["training"]["architecture"]]()
    network.load_state_dict(load_weights(zoo().weights(name)))
    return lean(network)


class FashionMnist1000:
    """1,000 Fashion-MNIST test images that no embedded network was trained on: the first 100 of each class.

    An id is the SHA-256 of the 784 bytes of an image, one for each pixel; `load` divides them by 255.
    """

    shape: tuple[int, int, int] = (1, 28, 28)

    def __init__(self) -> None:
        tensors = load_file(HERE / "images.safetensors")
        self.pixels = tensors["images"]
        self.labels: Sequence[int] = [int(label) for label in tensors["labels"]]
        self.ids: Sequence[str] = [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return the images at these indices, [n, 1, 28, 28] in [0, 1]."""
        return self.pixels[list(indices)].astype(np.float32) / np.float32(255)
