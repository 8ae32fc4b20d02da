"""Timm's networks, from the weights in the hub's own cache; building one downloads nothing. Needs the extra `timm`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.files import file_digest
from bench_core.hookspecs import hookimpl
from bench_core.types import ModelRecipe, WeightsFile

from .caches import cached_by_torch, digests_of, existing_paths
from .indexes import timm_networks

if TYPE_CHECKING:
    from torch import nn

    from bench_core.types import Model

if importlib.util.find_spec("timm") is None:
    raise ImportError('timm is not installed (try pip install "adversarial-bench[timm]")')

FILES = ("model.safetensors", "pytorch_model.bin")


def identity(name: str, interpolation: str | None = None) -> Mapping[str, Any]:
    """Return the digest of the weights, without importing torch. Raises UsageError for an unknown network."""
    known = {"network": name, "weights": digests_of(files(name)), "timm": importlib.metadata.version("timm")}
    return known | ({"interpolation": interpolation} if interpolation else {})


def files(name: str, **_options: Any) -> Sequence[WeightsFile]:
    """Return the file that is needed, at its path in the hub's cache; old weights are in torch's cache."""
    networks = timm_networks()
    if name not in networks:
        raise UsageError(Fault("", "name", f'unknown network "{name}" {_hint(name, networks)}'))
    published = networks[name]
    return [_on_hub(published.repository) if published.repository else cached_by_torch(published.url)]


def _on_hub(repository: str) -> WeightsFile:
    from huggingface_hub import constants, try_to_load_from_cache

    cached = [try_to_load_from_cache(repository, file) for file in FILES]
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    path = next((file for file in cached if isinstance(file, str)), folder / "snapshots" / "*" / FILES[0])
    url = f"{constants.ENDPOINT}/{repository}/resolve/main/{FILES[0]}"
    return WeightsFile(str(path), url, download=partial(_download, repository))


def _download(repository: str) -> None:
    """Download a file into the hub's cache. Raises UsageError if it is not the published file.

    The hub names a large file by the SHA-256 that it published, but itself compares only the size.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # it logs every retry, and raises in the end
    file = Path(hf_hub_download(repository, FILES[0])).resolve()
    digest = file_digest(file)
    if re.fullmatch("[0-9a-f]{64}", file.name) and digest != file.name:
        file.unlink()
        message = f"{repository}/{FILES[0]} has the digest {digest}, not {file.name}; the download was deleted"
        raise UsageError(Fault("fetch", "", message))


def _hint(name: str, known: Collection[str]) -> str:
    tags = sorted(network for network in known if network.startswith(f"{name}."))
    return f"(which weights? {', '.join(tags)})" if tags else did_you_mean(name, known)


def build(name: str, interpolation: Literal["bilinear", "bicubic"] | None = None) -> Model:
    """Load a pretrained network.

    Args:
        name: Network and weights, for example `inception_v3.tf_in1k`.
        interpolation: How images of another size than the network's are resized, by default as timm evaluates it.

    Returns:
        Images [n, 3, h, w] in [0, 1] to logits [n, classes].

    Raises:
        UsageError: The network is unknown, or its file is not in the cache, is damaged or does not fit.
    """
    import timm

    from .preprocessing import preset_of
    from .verified import lean_on_probe
    from .weights import read_checkpoint, state_dict_of, weights_error

    (file,) = existing_paths(files(name))
    state = dict(state_dict_of(read_checkpoint(file), file))
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    except (KeyError, RuntimeError) as error:  # raised by timm's renaming of entries, or by torch
        raise weights_error(file, error) from None
    return preprocessed(lean_on_probe(network, preset_of(network)["side"]), interpolation)


def preprocessed(network: nn.Module, interpolation: str | None = None) -> Model:
    """Wrap a timm network in the preprocessing of its own settings, with another interpolation if one is given."""
    from .preprocessing import Preprocessed, preset_of

    preset = preset_of(network)
    return Preprocessed(network, **preset | {"interpolation": interpolation or preset["interpolation"]})


@hookimpl
def bench_models() -> Mapping[str, ModelRecipe]:
    return {"timm": ModelRecipe(build, identity, "Timm's networks, from the hub's own cache.", files=files)}
