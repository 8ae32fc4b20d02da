"""The recipe for point cloud networks. Torch is imported when a network is built."""

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
    """Return the digest of the weights.

    Args:
        name: Name of the network.
        folder: Folder of networks that the user trained; by default bench's own.

    Raises:
        UsageError: The folder has no networks, the network is unknown, or its weights are missing or damaged.
    """
    if not zoo(folder).names():
        command = f"python -m bench_models.pointclouds.train {name} --modelnet DIR --out {folder}"
        raise UsageError(Fault("pointcloud", "folder", f"no networks in {folder} (train them: {command})"))
    return zoo(folder).identity(name)


def build(name: str, folder: str = "") -> Model:
    """Build a network with its weights, with batch normalisation folded into its convolutions.

    Args:
        name: Name of the network.
        folder: Folder of networks that the user trained (`--out` of the trainer); by default bench's own.

    Returns:
        A network from clouds [n, 3, points, 1] in [0, 1] to logits [n, classes].

    Raises:
        UsageError: The folder has no networks, the network is unknown, or its weights are missing or damaged.
    """
    from safetensors.torch import load_file

    from bench_core.lean import fold_batch_norm

    from .network import PointNet2

    identity(name, folder)
    network = PointNet2(len(zoo(folder).card(name)["classes"]))
    network.load_state_dict(load_file(zoo(folder).weights(name)))
    return fold_batch_norm(network.eval()).requires_grad_(False)
