"""The point cloud networks as a recipe: described without torch, loaded when built."""

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
    """Give the digest of the weights. Raises UsageError where the file is missing or is not what the card says."""
    if not zoo(folder).names():
        how = f"python -m bench_models.pointclouds.train {name} --modelnet DIR --out {folder}"
        raise UsageError(Fault("pointcloud", "folder", f"no networks in {folder} (train them: {how})"))
    return zoo(folder).identity(name)


def build(name: str, folder: str = "") -> Model:
    """Load a network: clouds [n, 3, points, 1] in [0, 1] to logits [n, classes]. Batch normalisation is folded.

    `folder` is where the trainer has put what a user trained (`--out`); without it the networks are bench's own.
    """
    from safetensors.torch import load_file

    from ..lean.folding import fold_batch_norm
    from .network import PointNet2

    identity(name, folder)
    network = PointNet2(len(zoo(folder).card(name)["classes"]))
    network.load_state_dict(load_file(zoo(folder).weights(name)))
    return fold_batch_norm(network.eval()).requires_grad_(False)
