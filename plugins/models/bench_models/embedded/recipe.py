"""The embedded networks and images as recipes: described without torch, which is imported when a network is built."""

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
    """Return what the card of an embedded network states and `bench check` can verify."""
    stated = card(name)
    shape = (stated["input"]["channels"], stated["input"]["side"], stated["input"]["side"])
    accuracy = stated["accuracy_shipped_1000"]
    return {"shape": shape, "classes": stated["classes"], "data": "embedded", "accuracy": accuracy}


def identity(name: str) -> dict[str, Any]:
    """Return the digest of the weights. Raises UsageError where the file is missing or its digest is not the card's."""
    return zoo().identity(name)


def build(name: str) -> Model:
    """Load an embedded network in its lean form: images [n, 1, 28, 28] in [0, 1] to logits [n, 10]."""
    from safetensors.torch import load_file as load_weights

    from ..lean.make import lean
    from .networks import ARCHITECTURES

    identity(name)
    network = ARCHITECTURES[card(name)["training"]["architecture"]]()
    network.load_state_dict(load_weights(zoo().weights(name)))
    return lean(network)


class FashionMnist1000:
    """1,000 Fashion-MNIST test images that no embedded network was trained on: the first 100 of each class.

    An id is the SHA-256 of an image's 784 bytes. `load` divides them by 255, so they determine the pixels.
    """

    shape: tuple[int, int, int] = (1, 28, 28)

    def __init__(self) -> None:
        tensors = load_file(HERE / "images.safetensors")
        self.pixels = tensors["images"]
        self.labels: Sequence[int] = [int(label) for label in tensors["labels"]]
        self.ids: Sequence[str] = [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pixels[list(indices)].astype(np.float32) / np.float32(255)
