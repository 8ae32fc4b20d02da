"""A few attacked images: clean, the scaled perturbation, adversarial, and each target's prediction.

They are computed as every result is, with the same jobs, checks and store. Images that the run has kept are classified
as they are; other attacks are run again on the first images. If the dataset or the networks are not on this machine,
the gallery states that instead.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...clouds import is_cloud
from ...errors import UsageError, one_line
from ...executors.devices import find_device
from ...executors.dispatch import Dispatcher
from ...executors.inline import Inline
from ...planning.planner import is_white_box, selected_jobs
from ...planning.resolve import ResolvedSuite, resolve
from ...planning.selection import Selection
from ...progress import Silent
from ...registry import Registry
from ...result import Result
from ...runs.record import RunRecord
from ...scores.rows import RowSet, complete_labels, gather
from ...store import store_of_run
from ...suite.exchange import KeepEntry
from ...suite.model import MetricEntry, Suite, source_label
from ...suite.outputs import NO_OUTPUTS
from .clouds import picture
from .kept import with_kept_images

MOST_ROWS = 8  # pairs of attack and budget
LARGEST_PNG = 96  # pixels of a side; larger images are saved as JPEG, which the page states


@dataclass(frozen=True)
class Prediction:
    """A target's predictions of one image.

    Attributes:
        target: The target's label.
        before: The predicted class of the clean image, with its probability.
        after: The predicted class of the adversarial image, with its probability.
        fooled: Whether the adversarial image is misclassified.
    """

    target: str
    before: str
    after: str
    fooled: bool


@dataclass(frozen=True)
class GalleryImage:
    """One image under one attack.

    Attributes:
        image: The index of the image in the dataset.
        label: The true class.
        clean: The clean image as a data URL.
        perturbation: The scaled perturbation as a data URL; grey is zero.
        adversarial: The adversarial image as a data URL.
        scale: The factor of the shown perturbation.
        predictions: The targets' predictions.
    """

    image: int
    label: int
    clean: str
    perturbation: str
    adversarial: str
    scale: float
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class GalleryRow:
    """The images under one attack and budget, or the reason `void` why there are none."""

    attack: str
    budget: str
    images: tuple[GalleryImage, ...]
    void: str | None = None


@dataclass(frozen=True)
class Gallery:
    """The gallery of a run.

    Attributes:
        source: The label of the source that was attacked.
        rows: The rows, one for each attack and budget.
        left_out: How many rows are not shown.
        lossy: Whether the images are compressed as JPEG.
        missing: The reason why there are no images.
    """

    source: str = ""
    rows: tuple[GalleryRow, ...] = ()
    left_out: int = 0
    lossy: bool = False
    missing: str = ""


def make_gallery(
    result: Result, record: RunRecord, registry: Registry, count: int, source: str | None = None
) -> Gallery:
    """Show the first attacked images under each attack of one source.

    Args:
        result: The run.
        record: The run's record.
        registry: The installed plugins.
        count: How many images to show.
        source: The source's label; the suite's first source by default.

    Returns:
        The gallery, or the reason why there is none; it never raises a user's mistake.
    """
    suite = result.suite
    if count == 0 or not suite.sources or not suite.attacks:
        return Gallery(missing="the suite attacks nothing" if count else "left out (--gallery 0)")
    wanted = source or source_label(suite.sources[0])
    chosen = next((other for other in suite.sources if source_label(other) == wanted), None)
    if chosen is None:
        return Gallery(missing=f"the suite has no source {source}")
    try:
        return _computed(_narrowed(suite, chosen), record, count, registry, result.folder)
    except UsageError as error:
        return Gallery(missing="; ".join(map(str, error.faults)))
    except OSError as error:  # the dataset or a network is not on this machine
        return Gallery(missing=one_line(f"cannot read {error.filename or 'the dataset'}: {error.strerror or error}"))


def _narrowed(suite: Suite, source: str | list[str]) -> Suite:
    """Return the suite with one source, and with metrics that keep images and predictions."""
    metrics = {name: MetricEntry(recipe=name) for name in ("pictures", "predictions")}
    nothing = {**NO_OUTPUTS, "keep": KeepEntry()}
    return suite.model_copy(update={**nothing, "metrics": metrics, "sources": [source]})


def _resolved(suite: Suite, record: RunRecord, registry: Registry) -> ResolvedSuite:
    """Resolve a suite in the environment of the run, as far as this machine has its device."""
    made = record.environment
    try:
        device = find_device(made["device"])
    except UsageError:
        return resolve(suite, registry, device=find_device("auto"))
    return resolve(suite, registry, device=device, precision=made["dtype"], threads=made["threads"])


def _computed(suite: Suite, record: RunRecord, count: int, registry: Registry, folder: Path) -> Gallery:
    resolved = _resolved(suite, record, registry)
    images = resolved.images
    if images is None:
        return Gallery(missing=resolved.data_missing)
    whole = Selection(tuple(record.images.indices), tuple(record.images.ids))
    selection = whole.first(count)
    if max(selection.indices) >= len(images.ids) or tuple(images.ids[i] for i in selection.indices) != selection.ids:
        return Gallery(missing="the dataset here is not the run's")
    with store_of_run(folder) as store, tempfile.TemporaryDirectory() as scratch:
        kept = with_kept_images(resolved, whole, count, store, Path(scratch))
        attacks = list(dict.fromkeys([
            *((attack, budget) for attack, _, budget in resolved.attacks),
            *((given.attack, given.budget) for given in resolved.given),
        ]))  # fmt: skip
        jobs = selected_jobs(kept, selection)
        jobs = [job for job in jobs if (job.labels.get("attack"), job.labels.get("budget")) in attacks[:MOST_ROWS]]
        results, voids = Dispatcher(store, Inline(registry), Silent(), registry).compute("gallery", jobs)
    rows = gather(
        jobs, results, voids, complete_labels(suite, partial(is_white_box, resolved)), "selected", selection.indices
    )
    labels = [images.labels[index] for index in selection.indices]
    shown = tuple(_row(attack, budget, rows, selection.indices, labels) for attack, budget in attacks[:MOST_ROWS])
    lossy = max(images.shape[1:]) > LARGEST_PNG and not is_cloud(images.shape)
    return Gallery(source_label(suite.sources[0]), shown, max(0, len(attacks) - MOST_ROWS), lossy)


def _row(attack: str, budget: str, rows: Sequence[RowSet], indices: Sequence[int], labels: Sequence[int]) -> GalleryRow:
    rows = [row for row in rows if (row.labels.attack, row.labels.budget) == (attack, budget)]
    pictures = next(row for row in rows if row.metric == "pictures")
    if pictures.void:
        return GalleryRow(attack, budget, (), pictures.void)
    clean, adversarial = pictures.arrays["clean"], pictures.arrays["adversarial"]
    scale = float(f"{0.5 / max(float(np.abs(adversarial - clean).max()), 1e-6):.2g}")
    predicted = [row for row in rows if row.metric == "predictions" and not row.void]
    images = tuple(
        GalleryImage(
            index, label, data_url(before), data_url(0.5 + scale * (after - before)), data_url(after), scale,
            tuple(_prediction(row.labels["target"], row.arrays, i, label) for row in predicted),
        )
        for i, (index, label, before, after) in enumerate(zip(indices, labels, clean, adversarial, strict=True))
    )  # fmt: skip
    return GalleryRow(attack, budget, images)


def _prediction(target: str, arrays: Mapping[str, NDArray[Any]], i: int, label: int) -> Prediction:
    before, after = (f"{arrays[name][i]} ({100 * arrays[f'sure_{name}'][i]:.0f}%)" for name in ("before", "after"))
    return Prediction(target, before, after, bool(arrays["after"][i] != label))


def data_url(image: NDArray[np.float32]) -> str:
    """Encode an image [c, h, w], clipped to [0, 1], as a data URL; a point cloud is drawn first.

    Equal images give equal text.
    """
    from PIL import Image

    if is_cloud(image.shape):
        image = picture(image)
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    encoded = Image.fromarray(pixels[0] if len(pixels) != 3 else pixels.transpose(1, 2, 0))
    out = io.BytesIO()
    media = "png" if max(pixels.shape[1:]) <= LARGEST_PNG else "jpeg"
    encoded.save(out, media, **({"quality": 85} if media == "jpeg" else {"optimize": True}))
    return f"data:image/{media};base64,{base64.b64encode(out.getvalue()).decode()}"
