"""Timm's networks, from the weights in the hub's own cache; never downloads unasked. Needs the extra `timm`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.hookspecs import hookimpl
from bench_core.types import ModelRecipe, WeightsFile

from .caches import cached_by_torch, digests_of, present
from .timm_source import names, published

if TYPE_CHECKING:
    from torch import nn

    from bench_core.types import Model

if importlib.util.find_spec("timm") is None:
    raise ImportError('timm is not installed (would do: pip install "adversarial-bench[timm]")')

FILES = ("model.safetensors", "pytorch_model.bin")


def identity(name: str) -> Mapping[str, Any]:
    """Give the digest of the weights, without importing torch. Raises UsageError where there is no such network."""
    return {"network": name, "weights": digests_of(files(name)), "timm": importlib.metadata.version("timm")}


def files(name: str) -> Sequence[WeightsFile]:
    """Say which file is wanted, and where it is looked for: in the hub's cache, for old weights in torch's."""
    try:
        where = published(name)
    except KeyError:
        raise UsageError(Fault("", "name", f'unknown network "{name}" {_hint(name)}')) from None
    return [_on_hub(where.repository) if where.repository else cached_by_torch(where.url)]


def _on_hub(repository: str) -> WeightsFile:
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    cached = [try_to_load_from_cache(repository, file) for file in FILES]
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    path = next((file for file in cached if isinstance(file, str)), folder / "snapshots" / "*" / FILES[0])
    url = f"{constants.ENDPOINT}/{repository}/resolve/main/{FILES[0]}"
    return WeightsFile(str(path), url, download=partial(hf_hub_download, repository, FILES[0]))


def _hint(name: str) -> str:
    tags = sorted(known for known in names() if known.startswith(f"{name}."))
    return f"(which weights? {', '.join(tags)})" if tags else did_you_mean(name, names())


def build(name: str) -> Model:
    """Load a pretrained network, say `inception_v3.tf_in1k`: images [n, 3, h, w] in [0, 1] to logits.

    Raises UsageError where there is no such network, or its file is not in the cache.
    """
    import timm

    from .folding import lean
    from .weights import read_checkpoint, state_dict_of

    (file,) = present(files(name))
    state = dict(state_dict_of(read_checkpoint(file), file))
    network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    return preprocessed(lean(network))


def preprocessed(network: nn.Module) -> Model:
    """Give a network of timm's the preprocessing that its own settings ask for."""
    from .preprocessing import Preprocessed

    settings: Any = network.pretrained_cfg
    mode = settings["interpolation"] if settings["interpolation"] in ("bilinear", "bicubic") else "bilinear"
    return Preprocessed(network, settings["mean"], settings["std"], settings["input_size"][-1], mode)


@hookimpl
def bench_models() -> Mapping[str, ModelRecipe]:
    return {"timm": ModelRecipe(build, identity, "Timm's networks, from the hub's own cache.", files=files)}
