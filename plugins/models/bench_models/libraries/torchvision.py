"""Torchvision's classification networks, from the weights in its own cache; never downloads unasked."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.types import WeightsFile

from .caches import cached_by_torch, digests_of, present
from .torchvision_index import Published, networks, weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench_core.types import Model


def identity(name: str, weights: str) -> Mapping[str, Any]:
    """Give the digest of the weights, without importing torch. Raises UsageError where there are no such weights."""
    version = importlib.metadata.version("torchvision")
    return {"network": name, "weights": digests_of(files(name, weights)), "torchvision": version}


def files(name: str, weights: str) -> Sequence[WeightsFile]:
    """Say which file is wanted, and where torchvision looks for it."""
    published = chosen(name, weights)
    return [cached_by_torch(published.url, published.size)]


def chosen(name: str, enum: str) -> Published:
    """Find weights by the name of their enum. Raises UsageError with the nearest name."""
    if name not in networks():
        raise UsageError(Fault("", "name", f'unknown network "{name}" {did_you_mean(name, networks())}'))
    known = weights(name)
    if enum not in known:
        raise UsageError(Fault("", "weights", f'unknown weights "{enum}" {did_you_mean(enum, known)}'))
    return known[enum]


def build(name: str, weights: str) -> Model:
    """Load a network, say `resnet34`, with weights, say `IMAGENET1K_V1`: images [n, 3, h, w] in [0, 1] to logits.

    Raises UsageError where there is no such network or weights, or the file is not in the cache.
    """
    from torchvision.models import get_model_weights

    from ..lean.make import lean
    from .preprocessing import Preprocessed
    from .weights import fill, read_checkpoint, state_dict_of

    (file,) = present(files(name, weights))
    preset = get_model_weights(name)[weights].transforms()
    side = preset.crop_size[0]
    network = construct(name, side)
    fill(network, modern(state_dict_of(read_checkpoint(file), file)), file)
    return Preprocessed(lean(network), preset.mean, preset.std, side, preset.interpolation.value)


def construct(name: str, side: int = 224, **options: Any) -> nn.Module:
    """Make a network as the published weights want it.

    Inception and GoogLeNet undo the usual normalisation; a vision transformer takes images of one side only.
    """
    from torchvision.models import get_model

    own: dict[str, Any] = {}
    if name in ("inception_v3", "googlenet"):
        own = {"transform_input": True, "init_weights": False, "aux_logits": True}
    if name.startswith("vit_"):
        own = {"image_size": side}
    made: nn.Module = get_model(name, weights=None, **own, **options)
    return made


def modern(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename: old DenseNet files write `norm.1` where the module is called `norm1`. Other networks have such names."""
    return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key): each for key, each in state.items()}
