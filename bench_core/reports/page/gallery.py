"""A few images to look at: clean, the perturbation made visible, adversarial, and what each target says of them.

They are computed as any result is, by the same jobs, checks and store: the run's own attacks, on its first images.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...clouds import is_cloud
from ...errors import UsageError
from ...executors.devices import find_device
from ...executors.dispatch import Dispatcher
from ...executors.inline import Inline
from ...planning.planner import selected_jobs
from ...planning.resolve import resolve
from ...planning.selection import Selection
from ...progress import Silent
from ...registry import Registry
from ...result import Result
from ...scores.summarise import RowSet, gather
from ...store import Store
from ...suite.model import MetricTable, source_label
from ...types import Json
from .clouds import picture

MOST_ROWS = 8  # attacks under budgets that are shown
LARGEST_PNG = 96  # pixels of a side; larger images are stored as JPEG, which the page says


@dataclass(frozen=True)
class Said:
    """What a target says of one image, before and after."""

    target: str
    before: str
    after: str
    fooled: bool


@dataclass(frozen=True)
class Shown:
    """One image under one attack; `clean`, `perturbation` and `adversarial` are data addresses."""

    image: int
    label: int
    clean: str
    perturbation: str
    adversarial: str
    scale: float
    said: tuple[Said, ...]


@dataclass(frozen=True)
class GalleryRow:
    attack: str
    budget: str
    shown: tuple[Shown, ...]
    void: str | None = None


@dataclass(frozen=True)
class Gallery:
    """`missing` says why there is nothing to see."""

    source: str = ""
    rows: tuple[GalleryRow, ...] = ()
    left_out: int = 0
    lossy: bool = False
    missing: str = ""


def make_gallery(result: Result, facts: Json, registry: Registry, count: int, source: str | None = None) -> Gallery:
    """Show the first `count` images under each attack of one source, the suite's first by default."""
    suite = result.suite
    if count == 0 or not suite.sources or not suite.attacks:
        return Gallery(missing="the suite attacks nothing" if count else "left out (--gallery 0)")
    chosen = next((s for s in suite.sources if source_label(s) == (source or source_label(suite.sources[0]))), None)
    if chosen is None:
        return Gallery(missing=f"the suite has no source {source}")
    looking = {name: MetricTable(recipe=name) for name in ("pictures", "predictions")}
    narrowed = suite.model_copy(
        update={
            "metrics": looking,
            "sources": [chosen],
            "worst_case": {},
            "correlations": {},
            "tables": [],
            "plots": [],
            "gate": {},
        }
    )
    try:
        resolved = resolve(narrowed, registry, device=find_device("auto"))
        selection = Selection(*(tuple(facts["images"][key][:count]) for key in ("indices", "ids")))
        if resolved.images is None:
            return Gallery(missing=resolved.data_missing)
        if tuple(resolved.images.ids[i] for i in selection.indices) != selection.ids:
            return Gallery(missing="the dataset here is not the run's")
        jobs = selected_jobs(resolved, selection)
        kept = list(dict.fromkeys((job.labels["attack"], job.labels["budget"]) for job in jobs))
        jobs = [job for job in jobs if (job.labels["attack"], job.labels["budget"]) in kept[:MOST_ROWS]]
        store = Store(result.folder.parent.parent / "store")
        found, voids = Dispatcher(store, Inline(registry), Silent(), registry).compute("gallery", jobs)
    except UsageError as error:
        return Gallery(missing="; ".join(map(str, error.faults)))
    rows = gather(jobs, found, voids)
    labels = [resolved.images.labels[i] for i in selection.indices]
    made = tuple(_row(attack, budget, rows, selection.indices, labels) for attack, budget in kept[:MOST_ROWS])
    shape = resolved.images.shape
    lossy = max(shape[1:]) > LARGEST_PNG and not is_cloud(shape)
    return Gallery(source_label(chosen), made, max(0, len(kept) - MOST_ROWS), lossy)


def _row(attack: str, budget: str, rows: list[RowSet], places: tuple[int, ...], labels: list[int]) -> GalleryRow:
    own = [each for each in rows if each.labels.get("attack") == attack and each.labels.get("budget") == budget]
    pictures = next(each for each in own if each.metric == "pictures")
    if pictures.void:
        return GalleryRow(attack, budget, (), pictures.void)
    clean, adversarial = pictures.arrays["clean"], pictures.arrays["adversarial"]
    scale = float(f"{0.5 / max(float(np.abs(adversarial - clean).max()), 1e-6):.2g}")
    said = [each for each in own if each.metric == "predictions" and not each.void]
    shown = tuple(
        Shown(
            place, label, data_address(before), data_address(0.5 + scale * (after - before)), data_address(after),
            scale, tuple(_said(each.labels["target"], each.arrays, i, label) for each in said),
        )
        for i, (place, label, before, after) in enumerate(zip(places, labels, clean, adversarial, strict=True))
    )  # fmt: skip
    return GalleryRow(attack, budget, shown)


def _said(target: str, arrays: Mapping[str, NDArray[Any]], i: int, label: int) -> Said:
    before, after = (
        f"{arrays[name][i]} ({100 * arrays[f'sure_{name}'][i]:.0f}%)" for name in ("before", "after")
    )  # fmt: skip
    return Said(target, before, after, bool(arrays["after"][i] != label))


def data_address(image: NDArray[np.float32]) -> str:
    """Write an image [c, h, w], clipped to [0, 1], as a data address; equal images give equal text.

    Of a point cloud it is a picture.
    """
    from PIL import Image

    if is_cloud(image.shape):
        image = picture(image)
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    drawn = Image.fromarray(pixels[0] if len(pixels) != 3 else pixels.transpose(1, 2, 0))
    out = io.BytesIO()
    form = "png" if max(pixels.shape[1:]) <= LARGEST_PNG else "jpeg"
    drawn.save(out, form, **({"quality": 85} if form == "jpeg" else {"optimize": True}))
    return f"data:image/{form};base64,{base64.b64encode(out.getvalue()).decode()}"
