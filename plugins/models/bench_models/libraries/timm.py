"""Timm's networks, from the weights in the hub's own cache; never downloads unasked. Needs the extra `timm`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.files import file_digest
from bench_core.hookspecs import hookimpl
from bench_core.types import ModelRecipe, WeightsFile

from .caches import cached_by_torch, digests_of, present
from .timm_index import names, published

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
    from huggingface_hub import constants, try_to_load_from_cache

    cached = [try_to_load_from_cache(repository, file) for file in FILES]
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    path = next((file for file in cached if isinstance(file, str)), folder / "snapshots" / "*" / FILES[0])
    url = f"{constants.ENDPOINT}/{repository}/resolve/main/{FILES[0]}"
    return WeightsFile(str(path), url, download=partial(_download, repository))


def _download(repository: str) -> None:
    """Have the hub put a file into its cache. Raises UsageError where it is not the published one.

    The hub names what it keeps by the digest that it published (SHA-256 of large files), and looks at the size alone.
    """
    from huggingface_hub import hf_hub_download

    kept = Path(hf_hub_download(repository, FILES[0])).resolve()
    found = file_digest(kept)
    if re.fullmatch("[0-9a-f]{64}", kept.name) and found != kept.name:
        kept.unlink()
        message = f"{repository}/{FILES[0]} has the digest {found}, not {kept.name}; nothing was kept"
        raise UsageError(Fault("fetch", "", message))


def _hint(name: str) -> str:
    tags = sorted(known for known in names() if known.startswith(f"{name}."))
    return f"(which weights? {', '.join(tags)})" if tags else did_you_mean(name, names())


def build(name: str) -> Model:
    """Load a pretrained network, say `inception_v3.tf_in1k`: images [n, 3, h, w] in [0, 1] to logits.

    Raises UsageError where there is no such network, or its file is not in the cache, is damaged or does not fit.
    """
    import timm

    from ..lean.make import lean
    from .weights import read_checkpoint, state_dict_of, unreadable

    (file,) = present(files(name))
    state = dict(state_dict_of(read_checkpoint(file), file))
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    except (KeyError, RuntimeError) as error:  # of timm's own renaming, of torch
        raise unreadable(file, error) from None
    return preprocessed(lean(network))


def preprocessed(network: nn.Module) -> Model:
    """Give a network of timm's the preprocessing that its own settings ask for."""
    from .preprocessing import Preprocessed, preset_of

    return Preprocessed(network, **preset_of(network))


@hookimpl
def bench_models() -> Mapping[str, ModelRecipe]:
    return {"timm": ModelRecipe(build, identity, "Timm's networks, from the hub's own cache.", files=files)}
