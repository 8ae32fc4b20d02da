"""The files of an export.

images/ID.png, images.csv             the clean images, as in the NeurIPS 2017 competition's set
SOURCE/ATTACK/BUDGET/STEP/ID.png      the adversarial images; with npz, SOURCE/ATTACK/BUDGET/STEP.npz
labels.csv                            one row for each adversarial image; written last
export.json                           what identifies the export; written first
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..clouds import is_cloud
from ..errors import Fault, UsageError
from ..given.places import image_digest
from ..planning.budgets import whole_budget
from ..planning.jobs import Batch
from ..planning.resolve import ResolvedSuite
from ..planning.selection import Selection
from ..types import Budget
from ..worker.quantise import eight_bit, to_levels, unreachable
from .files import Target, csv_bytes, npz_bytes, png_bytes
from .groups import Group, Request

COLUMNS = (
    "filename", "folder", "row", "id", "label", "targeted_label", "source", "attack", "budget", "norm", "eps", "step",
    "clean_sha256", "sha256",
)  # fmt: skip
CHANNELS = (1, 3)  # of a PNG file
ROUNDED = "rounded to 8 bits inside the ball, and the run judged them unrounded: outcomes may differ"
OFF_LEVELS = "the clean images are not on the 256 levels of 8 bits, so that their PNG files are rounded"


@dataclass(frozen=True)
class Pictures:
    """The images of one batch as they are kept: rows `levels` or `images`, and perhaps `targets`."""

    batch: Batch
    rows: Mapping[str, NDArray[Any]]


class Layout:
    """Writes the files of an export.

    Args:
        target: The folder.
        resolved: The suite.
        selection: The images.
        names: The name of each image's file, without suffix.
        request: What is exported.

    Attributes:
        notes: What a reader must know of the images.

    Raises:
        UsageError: The images have no form as PNG files.
    """

    def __init__(
        self, target: Target, resolved: ResolvedSuite, selection: Selection, names: Sequence[str], request: Request
    ) -> None:
        assert resolved.images is not None
        self.target, self.resolved, self.selection, self.request = target, resolved, selection, request
        self.images, self.names = resolved.images, dict(zip(selection.indices, names, strict=True))
        self.rows: list[Sequence[object]] = []
        self.targets: dict[int, int] = {}
        self.notes: list[str] = []
        shape = self.images.shape
        if not request.npz and (shape[0] not in CHANNELS or is_cloud(shape)):
            message = f"images of the shape {tuple(shape)} have no form as PNG files (try --npz)"
            raise UsageError(Fault("--to", str(target.root), message))

    def begin(self) -> None:
        """Write what identifies the export."""
        self.target.begin()

    def write_group(self, group: Group, parts: Iterable[Pictures]) -> None:
        """Write the adversarial images of one attack."""
        stacked: dict[str, list[NDArray[Any]]] = {"images": [], "labels": [], "ids": [], "names": [], "targets": []}
        for index, image, target in self._images(group, parts):
            name, label = self.names[index], int(self.images.labels[index])
            row = len(stacked["images"])
            self._list(group, index, image, target, row)
            if target is not None:
                self.targets[index] = target
            for key, value in (("images", image), ("labels", label), ("ids", self.images.ids[index]), ("names", name)):
                stacked[key].append(np.asarray(value))
            if target is not None:
                stacked["targets"].append(np.asarray(target))
            if not self.request.npz:
                self.target.write(f"{group.folder}/{name}.png", png_bytes(image))
        if self.request.npz:
            arrays = {name: np.stack(values) for name, values in stacked.items() if values}
            self.target.write(f"{group.folder}.npz", npz_bytes(arrays))

    def _images(self, group: Group, parts: Iterable[Pictures]) -> Iterator[tuple[int, NDArray[Any], int | None]]:
        """Yield position, pixels and target class of each image of a group: uint8 levels, or float32 for npz."""
        budget = whole_budget(self.resolved.suite, group.budget)
        for part in parts:
            images = part.rows["levels"] if "levels" in part.rows else part.rows["images"]
            if images.dtype != np.uint8 and not self.request.npz:
                images = self._rounded(list(part.batch.indices), images, budget)
            targets = part.rows.get("targets")
            for place, index in enumerate(part.batch.indices):
                if index in self.names:
                    yield index, images[place], None if targets is None else int(targets[place])

    def _rounded(self, indices: list[int], images: NDArray[Any], budget: Budget) -> NDArray[np.uint8]:
        """Round images inside their balls. Raises UsageError where a ball has no 8-bit image."""
        clean = torch.from_numpy(self.images.load(indices)).clamp(0, 1)
        distance = unreachable(clean, budget)
        if distance.any():
            message = f"image {indices[int(distance.argmax())] + 1} of the dataset has no 8-bit image in its ball"
            raise UsageError(Fault("--to", str(self.target.root), f"{message} (try --npz)"))
        self.notes += [] if ROUNDED in self.notes else [ROUNDED]
        levels: NDArray[np.uint8] = eight_bit(clean, torch.from_numpy(images), budget).numpy()
        return levels

    def _list(self, group: Group, index: int, image: NDArray[Any], target: int | None, row: int) -> None:
        name, budget = self.names[index], whole_budget(self.resolved.suite, group.budget)
        folder, _, step = group.folder.rpartition("/")
        file = (f"{step}.npz", folder, row) if self.request.npz else (f"{name}.png", group.folder, "")
        self.rows.append((
            *file, name, int(self.images.labels[index]), "" if target is None else target, group.source, group.attack,
            group.budget, budget.norm, repr(budget.eps), group.step, self.images.ids[index], image_digest(image),
        ))  # fmt: skip

    def finish(self) -> None:
        """Write the clean images, if they are asked for, and the list of all images."""
        if self.request.clean:
            self._write_clean()
        self.target.write("labels.csv", csv_bytes(COLUMNS, self.rows))

    def _write_clean(self) -> None:
        indices = list(self.selection.indices)
        labels = [int(self.images.labels[index]) for index in indices]
        if self.request.npz:
            clean = self.images.load(indices).clip(0, 1)
            arrays = {"labels": np.array(labels), "ids": np.array(self.selection.ids)}
            names = np.array([self.names[index] for index in indices])
            self.target.write("images.npz", npz_bytes({"images": clean, **arrays, "names": names}))
            return
        for index in indices:
            clean = self.images.load([index]).clip(0, 1)
            levels = to_levels(torch.from_numpy(clean)).numpy()[0]
            if not np.allclose(levels / 255, clean[0], rtol=0, atol=1e-6) and OFF_LEVELS not in self.notes:
                self.notes.append(OFF_LEVELS)
            self.target.write(f"images/{self.names[index]}.png", png_bytes(levels))
        targeted = len(self.targets) == len(indices)
        rows = [
            (self.names[index], label + 1, *([self.targets[index] + 1] if targeted else []))
            for index, label in zip(indices, labels, strict=True)
        ]
        columns = ("ImageId", "TrueLabel", *(["TargetClass"] if targeted else []))
        self.target.write("images.csv", csv_bytes(columns, rows))
