"""The 20 photographs of ImageNet that foolbox brings."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from ..datasets.crop import CenterCrop
from ..datasets.pictures import Pictures
from .recipe import INSTALL

NAME = re.compile(r"imagenet_\d\d_(\d+)\.jpg")  # its place, and its class in the order of the networks' outputs


class Samples:
    """Foolbox's photographs of ImageNet, scaled and cropped to the centre. The ids are those of `Pictures`.

    Args:
        side: Height and width of the images in pixels.
        resize: Length in pixels to which the shorter side is scaled before the crop; by default `side`.

    Raises:
        UsageError: Foolbox is not installed.
    """

    class_count = 1000

    def __init__(self, side: Annotated[int, Gt(0)] = 224, resize: Annotated[int, Gt(0)] | None = None) -> None:
        found = importlib.util.find_spec("foolbox")
        folder = Path(*(found.submodule_search_locations or ()) if found else "", "data")
        named = [(file, match) for file in sorted(folder.glob("*.jpg")) if (match := NAME.fullmatch(file.name))]
        if found is None or not named:
            raise UsageError(Fault("data", "kind", f"foolbox's photographs are not installed {INSTALL}"))
        self.crop = CenterCrop(side, max(side, resize or side))
        self.shape = self.crop.shape
        self.pictures = Pictures([file for file, _ in named], self.crop)
        self.labels: Sequence[int] = [int(match[1]) for _, match in named]

    @property
    def ids(self) -> Sequence[str]:
        return self.pictures.ids

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pictures.load(indices)
