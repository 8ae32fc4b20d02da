"""Timm's networks, from the weights in the hub's own cache; never downloads unasked. Needs the extra `timm`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean

if TYPE_CHECKING:
    from bench_core.types import Model


def identity(name: str) -> Mapping[str, Any]:
    """Name the weights by timm's own name, without importing torch."""
    installed = importlib.util.find_spec("timm") is not None
    return {"weights": name, "timm": importlib.metadata.version("timm") if installed else "not installed"}


def build(name: str) -> Model:
    """Load a pretrained network, say `inception_v3.tf_in1k`: images [n, 3, h, w] in [0, 1] to logits.

    Raises UsageError where timm is missing, there is no such network, or its file is not in the cache.
    """
    if importlib.util.find_spec("timm") is None:
        raise UsageError(Fault("timm", name, 'timm is not installed (pip install "adversarial-bench[timm]")'))
    import timm
    from huggingface_hub import try_to_load_from_cache

    from .preprocessing import Preprocessed

    known = timm.list_models(pretrained=True)
    if name not in known:
        raise UsageError(Fault("timm", "name", f'unknown network "{name}" {did_you_mean(name, known)}'))
    settings: Any = timm.get_pretrained_cfg(name)
    names = ("model.safetensors", "pytorch_model.bin")
    files = [try_to_load_from_cache(settings.hf_hub_id, file) for file in names]
    found = next((file for file in files if isinstance(file, str)), None)
    if found is None:
        raise UsageError(
            Fault("timm", name, f"weights are not on this machine: looked for {settings.hf_hub_id}/{names[0]}")
        )
    network = timm.create_model(name, pretrained=False, checkpoint_path=found)
    mode = settings.interpolation if settings.interpolation in ("bilinear", "bicubic") else "bilinear"
    return Preprocessed(network, settings.mean, settings.std, settings.input_size[-1], mode)
