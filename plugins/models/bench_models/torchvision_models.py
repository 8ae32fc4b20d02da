"""Torchvision's classification networks, from the weights in its own cache; never downloads unasked."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean

if TYPE_CHECKING:
    from bench_core.types import Model


def identity(name: str, weights: str) -> Mapping[str, Any]:
    """Name the weights by architecture and enum, without importing torch."""
    return {"weights": f"{name}/{weights}", "torchvision": importlib.metadata.version("torchvision")}


def build(name: str, weights: str) -> Model:
    """Load a network, say `resnet34`, with weights, say `IMAGENET1K_V1`: images [n, 3, h, w] in [0, 1] to logits.

    Raises UsageError where there is no such network or weights, or the file is not in the cache.
    """
    import torch
    from torchvision.models import get_model, get_model_weights, list_models

    from .preprocessing import Preprocessed

    if name not in list_models():
        raise UsageError(Fault("torchvision", "name", f'unknown network "{name}" {did_you_mean(name, list_models())}'))
    known = {each.name: each for each in get_model_weights(name)}
    if weights not in known:
        raise UsageError(Fault("torchvision", "weights", f'unknown weights "{weights}" {did_you_mean(weights, known)}'))
    chosen = known[weights]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    if not file.is_file():
        raise UsageError(Fault("torchvision", name, f"weights are not on this machine: looked for {file}"))
    state = torch.load(file, map_location="cpu", weights_only=True)
    # Inception and GoogLeNet learnt on inputs scaled to [-1, 1] and undo the usual normalisation themselves.
    own = {"transform_input": True, "init_weights": False} if name in ("inception_v3", "googlenet") else {}
    network = get_model(name, weights=None, **own, **({"aux_logits": True} if own else {}))
    network.load_state_dict({_modern(key): value for key, value in state.items()})
    preset = chosen.transforms()
    return Preprocessed(network, preset.mean, preset.std, preset.crop_size[0], preset.interpolation.value)


def _modern(key: str) -> str:
    """Old DenseNet files write `norm.1` where the module is called `norm1`."""
    for old in ("norm", "relu", "conv"):
        for place in "12":
            key = key.replace(f".{old}.{place}.", f".{old}{place}.")
    return key
