"""Learned perceptual similarity of adversarial and clean images (Zhang et al., 2018; arXiv:1801.03924).

The networks are those of the authors' package `lpips`, which has its own small weights and lets torchvision download
those of the network below at first use. bench downloads nothing during a run, so these weights must be there before.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench_core.errors import ContractError
from bench_core.statistics import mean

from .shared.colour import as_rgb, picture_fault

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score
else:
    from bench_core.lazy import torch

SMALLEST = 32  # pixels: smaller images vanish in the pooling of the networks
Net = Literal["alex", "vgg", "squeeze"]
WEIGHTS = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


@cache
def network(net: Net) -> Any:
    """Load a network of the package, images in [-1, 1] -> distances [n, 1, 1, 1].

    Raises ContractError if its weights are not here and cannot be downloaded.
    """
    import lpips

    try:
        with torch.random.fork_rng():  # its layers are initialised before the weights are loaded
            return lpips.LPIPS(net=net, verbose=False).eval().requires_grad_(False)
    except OSError as error:  # as of a download without a connection
        folder = f"{torch.hub.get_dir()}/checkpoints"
        message = f"lpips cannot download the weights of its network ({getattr(error, 'reason', error)})"
        raise ContractError(f"{message} (try to put torchvision's {WEIGHTS[net]} into {folder})") from None


def checkpoints() -> Path:
    """Return the folder in which torch keeps downloaded weights, without an import of torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


@dataclass(frozen=True)
class PerceptualSimilarity:
    """Learned perceptual distance (LPIPS) of the adversarial from the clean image: 0 if they are equal.

    Needs the package `lpips`. Images of one channel are taken as grey. Score and row: `mean`.

    Attributes:
        net: The network: AlexNet, which the authors recommend for comparisons, VGG or SqueezeNet.
    """

    net: Net = "alex"
    scores: ClassVar = ("mean",)
    rows: ClassVar = ("mean",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if importlib.util.find_spec("lpips") is None:
            return 'lpips is not installed (try pip install "adversarial-bench[lpips]")'
        weights = checkpoints() / WEIGHTS[self.net]
        if not weights.is_file():
            hint = f"try to put torchvision's {weights.name} into {weights.parent}"
            return f"lpips lacks the weights of its network ({hint})"
        return picture_fault(shape, SMALLEST)

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        compared = network(self.net).to(adversarial)
        first, second = (as_rgb(images) * 2 - 1 for images in (clean.images, adversarial))
        return {"mean": compared(first, second).flatten()}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("mean", rows["mean"])


METRIC = PerceptualSimilarity
DEPENDS = ("lpips", "torchvision")
