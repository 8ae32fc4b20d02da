"""The point cloud networks as a recipe: described without torch, which is imported when a network is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError

from ..embedded.zoo import Zoo

if TYPE_CHECKING:
    from bench_core.types import Model

HERE = Path(__file__).parent


def zoo(folder: str = "") -> Zoo:
    return Zoo("pointcloud", Path(folder) if folder else HERE)


def identity(name: str, folder: str) -> Mapping[str, Any]:
    """Return the digest of the weights. Raises UsageError where the file is missing or its digest is not the card's."""
    if not zoo(folder).names():
        how = f"python -m bench_models.pointclouds.train {name} --modelnet DIR --out {folder}"
        raise UsageError(Fault("pointcloud", "folder", f"no networks in {folder} (train them: {how})"))
    return zoo(folder).identity(name)


def build(name: str, folder: str = "") -> Model:
    """Load a network, with its batch normalisation folded.

    Args:
        name: Name of the network.
        folder: Folder of networks that the user trained (`--out` of the trainer); by default bench's own.

    Returns:
        Clouds [n, 3, points, 1] in [0, 1] to logits [n, classes].

    Raises:
        UsageError: The network is unknown, or its weights are missing or damaged.
    """
    from safetensors.torch import load_file

    from ..lean.folding import fold_batch_norm
    from .network import PointNet2

    identity(name, folder)
    network = PointNet2(len(zoo(folder).card(name)["classes"]))
    network.load_state_dict(load_file(zoo(folder).weights(name)))
    return fold_batch_norm(network.eval()).requires_grad_(False)
