"""The rules for datasets: unique digests, pixels in [0, 1], a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import UsageError
from ..registry import Offer
from ..types import Images, Json
from .verdicts import Broken, Rules, Skipped, with_input

RULES = Rules()


@dataclass(frozen=True)
class DatasetCase:
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
        """Return the reason why the images are not on this machine, or None."""
        try:
            self.images()
        except Skipped as absent:
            return str(absent)
        return None

    def images(self) -> Images:
        """Build the dataset. Raises Skipped if its images are not on this machine."""
        try:
            built: Images = self.offer.build(**self.options)
        except UsageError as error:
            raise Skipped(str(error)) from error
        return built


@RULES.add()
def ids(case: DatasetCase) -> None:
    """Each image has a unique SHA-256 digest as its id, and a label; both are the same when built again."""
    data, again = case.images(), case.images()
    if len(data.ids) != len(data.labels) or not len(data.ids):
        raise Broken(f"{len(data.ids)} ids for {len(data.labels)} labels")
    if len(set(data.ids)) != len(data.ids):
        raise Broken("two images have the same id")
    if any(len(id_) != 64 or set(id_) - set("0123456789abcdef") for id_ in data.ids):
        raise Broken(f"an id is not a SHA-256 digest: {data.ids[0]}")
    if list(data.ids) != list(again.ids) or list(data.labels) != list(again.labels):
        raise Broken("its order differs when it is built again")


@RULES.add()
def pixels(case: DatasetCase) -> None:
    """`load` returns float32 [n, c, h, w] in [0, 1], with the stated shape, in the requested order."""
    data = case.images()
    indices = sorted({len(data.ids) - 1, len(data.ids) // 2, 0}, reverse=True)
    with with_input(f"load({indices})"):
        found = data.load(indices)
        if found.shape != (len(indices), *data.shape) or found.dtype != np.float32:
            raise Broken(f"it returned {found.dtype} {found.shape}, not float32 {(len(indices), *data.shape)}")
        if not np.isfinite(found).all() or found.min() < 0 or found.max() > 1:
            raise Broken(f"its pixels lie from {found.min():g} to {found.max():g}")
        for position, index in enumerate(indices):
            if not np.array_equal(found[position], data.load([index])[0]):
                raise Broken(f"image {index} differs when loaded alone")
