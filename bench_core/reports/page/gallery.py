"""A few attacked images: clean, the scaled perturbation, adversarial, and each target's prediction.

They are computed as every result is, with the same jobs, checks and store. Images that the run has kept, and images
that were made elsewhere, are classified as they are; other attacks are run again on the first images. If the dataset,
the networks or the given images are not on this machine, the gallery states that instead.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ...clouds import is_cloud
from ...errors import UsageError, one_line
from ...executors.devices import find_device
from ...executors.dispatch import Dispatcher
from ...executors.inline import Inline
from ...planning.planner import is_white_box, selected_jobs
from ...planning.resolve import ResolvedSuite, resolve
from ...planning.resolve_attacks import AttackKey
from ...planning.selection import Selection
from ...planning.uses import GivenUse
from ...progress import Silent
from ...registry import Registry
from ...reserved import RECORD
from ...result import Result
from ...runs.record import RunRecord
from ...scores.rows import RowSet, complete_labels, gather
from ...store import store_of_run
from ...suite.exchange import GivenEntry, KeepEntry
from ...suite.model import MetricEntry, Suite, source_label
from ...suite.outputs import NO_OUTPUTS
from ...types import Norm
from .clouds import picture
from .kept import with_kept_images

KEY = ("attack", "source", "budget")
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
    """The images under one attack and budget, or the reason `void` why there are none.

    If they were made elsewhere, `given` is the name of the network that they were made on.
    """

    attack: str
    budget: str
    images: tuple[GalleryImage, ...]
    void: str | None = None
    given: str | None = None


@dataclass(frozen=True)
class Gallery:
    """The gallery of a run.

    Attributes:
        source: The label of the source that was attacked; empty if all images were made elsewhere.
        rows: The rows, one for each attack and budget.
        left_out: How many rows are not shown.
        lossy: Whether the images are compressed as JPEG.
        missing: The reason why there are no images.
        wanted: Whether there should be images, so that it is a fault if there are none.
    """

    source: str = ""
    rows: tuple[GalleryRow, ...] = ()
    left_out: int = 0
    lossy: bool = False
    missing: str = ""
    wanted: bool = True


def make_gallery(
    result: Result, record: RunRecord, registry: Registry, count: int, source: str | None = None
) -> Gallery:
    """Show the first images under each attack of one source, and those that were made elsewhere.

    Args:
        result: The run.
        record: The run's record.
        registry: The installed plugins.
        count: How many images to show.
        source: The label of a source, of whose images only these are shown; by default the suite's first source and
            all images that were made elsewhere.

    Returns:
        The gallery, or the reason why there is none; it never raises a user's mistake.
    """
    suite = result.suite
    if count == 0:
        return Gallery(missing="left out (--gallery 0)", wanted=False)
    attacked = [chosen for chosen in suite.sources if suite.attacks and source in (None, source_label(chosen))][:1]
    given = {label: entry for label, entry in suite.given.items() if source in (None, entry.source)}
    if not attacked and not given:
        no_source = f"the suite has no source {source}"
        return Gallery(missing="the suite attacks nothing" if source is None else no_source, wanted=source is not None)
    try:
        return _computed(_narrowed(suite, attacked, given), result, record, count, registry)
    except UsageError as error:
        return Gallery(missing="; ".join(map(str, error.faults)))
    except OSError as error:  # the dataset or a network is not on this machine
        return Gallery(missing=one_line(f"cannot read {error.filename or 'the dataset'}: {error.strerror or error}"))


def _narrowed(suite: Suite, sources: list[str | list[str]], given: Mapping[str, GivenEntry]) -> Suite:
    """Return the suite with some sources and given images, and with metrics that keep images and predictions."""
    metrics = {name: MetricEntry(recipe=name) for name in ("pictures", "predictions")}
    nothing = {**NO_OUTPUTS, "keep": KeepEntry(), "given": dict(given)}
    shown: dict[str, object] = {"sources": sources} if sources else {"attacks": {}}
    return suite.model_copy(update={**nothing, **shown, "metrics": metrics})


def _resolved(suite: Suite, record: RunRecord, registry: Registry) -> ResolvedSuite:
    """Resolve a suite in the environment of the run, as far as this machine has its device."""
    made = record.environment
    try:
        device = find_device(made["device"])
    except UsageError:
        return resolve(suite, registry, device=find_device("auto"))
    return resolve(suite, registry, device=device, precision=made["dtype"], threads=made["threads"])


def _computed(suite: Suite, result: Result, record: RunRecord, count: int, registry: Registry) -> Gallery:
    resolved = _resolved(suite, record, registry)
    images = resolved.images
    if images is None:
        return Gallery(missing=resolved.data_missing)
    whole = Selection(tuple(record.images.indices), tuple(record.images.ids))
    selection = whole.first(count)
    if max(selection.indices) >= len(images.ids) or tuple(images.ids[i] for i in selection.indices) != selection.ids:
        return Gallery(missing="the dataset here is not the run's")
    given = {(use.attack, use.source, use.budget): use for use in resolved.given}
    keys = [*resolved.attacks, *given]
    shown = keys[:MOST_ROWS]
    with store_of_run(result.folder) as store, tempfile.TemporaryDirectory() as scratch:
        kept = with_kept_images(resolved, whole, count, store, Path(scratch))
        jobs = [job for job in selected_jobs(kept, selection) if tuple(map(job.labels.get, KEY)) in shown]
        results, voids = Dispatcher(store, Inline(registry), Silent(), registry).compute("gallery", jobs)
    rows = gather(
        jobs, results, voids, complete_labels(suite, partial(is_white_box, resolved)), "selected", selection.indices
    )
    labels = [images.labels[index] for index in selection.indices]
    found = [_row(key, _of(rows, key), selection.indices, labels) for key in shown]
    found = [
        _given_row(row, given[key], _of(rows, key), _of(result.rows, key)) if key in given else row
        for key, row in zip(shown, found, strict=True)
    ]
    lossy = max(images.shape[1:]) > LARGEST_PNG and not is_cloud(images.shape)
    attacked = source_label(suite.sources[0]) if suite.attacks else ""
    return Gallery(attacked, tuple(found), len(keys) - len(shown), lossy)


def _of(rows: Sequence[RowSet], key: AttackKey) -> list[RowSet]:
    return [row for row in rows if tuple(map(row.labels.get, KEY)) == key]


def _given_row(row: GalleryRow, use: GivenUse, rows: Sequence[RowSet], judged: Sequence[RowSet]) -> GalleryRow:
    """Mark a row as images that were made elsewhere, and leave out images that are not those that the run judged."""
    now, then = (next(found.arrays for found in side if found.metric == RECORD) for side in (rows, judged))
    norms = [norm for norm in get_args(Norm) if norm in now and norm in then]
    if all(np.allclose(now[norm], then[norm][: len(now[norm])], rtol=1e-3, atol=1e-6) for norm in norms):
        return replace(row, given=use.source)
    return replace(row, images=(), void=f"the images in {use.images.root} are no longer those that were judged")


def _row(key: AttackKey, rows: Sequence[RowSet], indices: Sequence[int], labels: Sequence[int]) -> GalleryRow:
    attack, _, budget = key
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
