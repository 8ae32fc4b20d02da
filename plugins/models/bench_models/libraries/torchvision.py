"""Torchvision's classification networks, from the weights in its own cache; building one downloads nothing."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.types import WeightsFile

from .caches import cached_by_torch, digests_of, existing_paths
from .indexes import Published, torchvision_networks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench_core.types import Model


def identity(name: str, weights: str, interpolation: str | None = None) -> Mapping[str, Any]:
    """Return the digest of the weights, without importing torch. Raises UsageError for unknown weights."""
    version = importlib.metadata.version("torchvision")
    known = {"network": name, "weights": digests_of(files(name, weights)), "torchvision": version}
    return known | ({"interpolation": interpolation} if interpolation else {})


def files(name: str, weights: str, **_options: Any) -> Sequence[WeightsFile]:
    """Return the file that is needed, at the path where torchvision looks for it."""
    published = find_weights(name, weights)
    return [cached_by_torch(published.url, published.size)]


def cost(name: str, weights: str, **_options: Any) -> float | None:
    """Return the multiply-adds for an image in billions, as torchvision states them."""
    return find_weights(name, weights).cost


def find_weights(name: str, enum: str) -> Published:
    """Return the weights that an enum names. Raises UsageError with the nearest known name."""
    networks = torchvision_networks()
    if name not in networks:
        raise UsageError(Fault("", "name", f'unknown network "{name}" {did_you_mean(name, networks)}'))
    if enum not in networks[name]:
        raise UsageError(Fault("", "weights", f'unknown weights "{enum}" {did_you_mean(enum, networks[name])}'))
    return networks[name][enum]


def build(name: str, weights: str, interpolation: Literal["bilinear", "bicubic"] | None = None) -> Model:
    """Load a network from torchvision's cache.

    Args:
        name: Network, for example `resnet34`.
        weights: Name in its enum of weights, for example `IMAGENET1K_V1`.
        interpolation: How images of another size than the network's are resized, by default as torchvision does.

    Returns:
        Images [n, 3, h, w] in [0, 1] to logits [n, 1000].

    Raises:
        UsageError: The network or its weights are unknown, or the file is not in the cache or does not fit.
    """
    from torchvision.models import get_model_weights

    from .entries import load_entries
    from .preprocessing import Preprocessed
    from .verified import lean_on_probe
    from .weights import read_checkpoint, state_dict_of

    (file,) = existing_paths(files(name, weights))
    preset = get_model_weights(name)[weights].transforms()
    side = preset.crop_size[0]
    network = construct(name, side)
    load_entries(network, with_current_names(state_dict_of(read_checkpoint(file), file)), file)
    return Preprocessed(
        lean_on_probe(network, side), preset.mean, preset.std, side, interpolation or preset.interpolation.value
    )


def construct(name: str, side: int = 224, **options: Any) -> nn.Module:
    """Build an untrained network with the parameters of the published weights.

    Args:
        name: Network, for example `vit_b_16`.
        side: Height and width of its images in pixels; a vision transformer accepts only this size.
        **options: Further arguments of torchvision's builder.
    """
    from torchvision.models import get_model

    arguments: dict[str, Any] = {}
    if name in ("inception_v3", "googlenet"):  # their weights expect another normalisation, which they apply themselves
        arguments = {"transform_input": True, "init_weights": False, "aux_logits": True}
    if name.startswith("vit_"):
        arguments = {"image_size": side}
    network: nn.Module = get_model(name, weights=None, **arguments, **options)
    return network


def with_current_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename entries of old DenseNet files, which have `norm.1` where the module is `norm1`; leave all others."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key): value for key, value in state.items()
    }
