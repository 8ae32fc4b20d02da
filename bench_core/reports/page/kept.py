"""The adversarial images that a run has kept in its store, in the form of images that were made elsewhere.

So they are checked and classified by the same jobs, and no attack is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...given.find import GivenImages
from ...given.places import Place, image_digest
from ...planning.jobs import AttackJob, PlannedJob, observation
from ...planning.planner import selected_jobs
from ...planning.resolve import ResolvedSuite
from ...planning.selection import Selection
from ...planning.specs import kept_images
from ...planning.uses import GivenUse
from ...store import Store

LAST = observation(kept_images(None), None, None).key  # of the cell with the images after the last step


def with_kept_images(
    resolved: ResolvedSuite, selection: Selection, count: int, store: Store, scratch: Path
) -> ResolvedSuite:
    """Replace the attacks of a run whose first images are kept by these images.

    Args:
        resolved: The run's suite, in the run's environment: otherwise the addresses are not those of the run.
        selection: All images that the run attacked.
        count: The number of images that are wanted, the first of the selection.
        store: The run's store.
        scratch: A folder for files of the images. It must exist until they are judged.

    Returns:
        The suite with images given in place of such attacks; other attacks are left.
    """
    attacks, found = dict(resolved.attacks), list[GivenUse]()
    for number, key in enumerate(resolved.attacks):
        narrow = replace(resolved, attacks={key: resolved.attacks[key]}, given=[])
        jobs = [job for job in selected_jobs(narrow, selection) if isinstance(job.job, AttackJob)]
        jobs = [job for job in jobs if job.round * resolved.suite.compute.micro_batch < count]
        images = _kept(jobs, selection.indices[:count], store, scratch / f"{number}.npz")
        if images is not None:
            del attacks[key]
            attack, source, budget = key
            found.append(GivenUse(source, attack, budget, images, rounded=False))
    return replace(resolved, attacks=attacks, given=[*resolved.given, *found])


def _kept(jobs: Sequence[PlannedJob], indices: Sequence[int], store: Store, file: Path) -> GivenImages | None:
    """Write the kept images of some jobs to a file; None if the images of one of the positions are not kept."""
    images, targets = dict[int, NDArray[Any]](), dict[int, int]()
    for job in jobs:
        rows = store.get(job.address, [LAST]).get(LAST, {})
        kept = rows.get("levels", rows.get("images"))
        if kept is None:
            return None
        images |= dict(zip(job.job.batch.indices, kept, strict=True))
        if "targets" in rows:
            targets |= dict(zip(job.job.batch.indices, map(int, rows["targets"]), strict=True))
    if not set(indices) <= images.keys():
        return None
    np.savez(file, images=np.stack([images[index] for index in indices]))
    places = {index: Place("", "images", row) for row, index in enumerate(indices)}
    digests = {index: image_digest(images[index]) for index in indices}
    eight_bit = next(iter(images.values())).dtype == np.uint8
    return GivenImages(file, places, digests, targets, eight_bit, ())
