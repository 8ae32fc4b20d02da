"""What must hold for every dataset: digests that tell images apart, pixels in [0, 1], a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import UsageError
from ..registry import Offer
from ..types import Images, Json
from .verdicts import Broken, Rules, Unasked, with_input

RULES = Rules()


@dataclass(frozen=True)
class DataTrial:
    """A dataset with its options."""

    offer: Offer
    options: Json
    kind: ClassVar[str] = "datasets"

    @property
    def name(self) -> str:
        return f"dataset {self.offer.name}" + "".join(f" {key}={value}" for key, value in self.options.items())

    def declared(self) -> Mapping[str, str]:
        return {}

    def refuses(self) -> str | None:
        """Say why its images are not on this machine, if they are not."""
        try:
            self.images()
        except Unasked as absent:
            return str(absent)
        return None

    def images(self) -> Images:
        """Build the dataset. Raises Unasked where its images are not on this machine."""
        try:
            built: Images = self.offer.build(**self.options)
        except UsageError as error:
            raise Unasked(str(error)) from error
        return built


@RULES.add()
def ids(trial: DataTrial) -> None:
    """Each image has a SHA-256 digest of its own as its id, and a label; both are the same when built again."""
    data, again = trial.images(), trial.images()
    if len(data.ids) != len(data.labels) or not len(data.ids):
        raise Broken(f"{len(data.ids)} ids for {len(data.labels)} labels")
    if len(set(data.ids)) != len(data.ids):
        raise Broken("two images have one id")
    if any(len(each) != 64 or set(each) - set("0123456789abcdef") for each in data.ids):
        raise Broken(f"an id is no SHA-256 digest: {data.ids[0]}")
    if list(data.ids) != list(again.ids) or list(data.labels) != list(again.labels):
        raise Broken("built again its order is another")


@RULES.add()
def pixels(trial: DataTrial) -> None:
    """`load` gives float32 [n, c, h, w] in [0, 1], of the shape that it says, in the order asked for."""
    data = trial.images()
    asked = sorted({len(data.ids) - 1, len(data.ids) // 2, 0}, reverse=True)
    with with_input(f"load({asked})"):
        found = data.load(asked)
        if found.shape != (len(asked), *data.shape) or found.dtype != np.float32:
            raise Broken(f"it gave {found.dtype} {found.shape}, not float32 {(len(asked), *data.shape)}")
        if not np.isfinite(found).all() or found.min() < 0 or found.max() > 1:
            raise Broken(f"its pixels lie from {found.min():g} to {found.max():g}")
        for position, index in enumerate(asked):
            if not np.array_equal(found[position], data.load([index])[0]):
                raise Broken(f"image {index} is another when loaded alone")
