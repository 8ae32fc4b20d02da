"""Opens given images: matches them to the dataset's images, reads each once, and compares them with the budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError, stop_at_faults
from ..types import Budget, Images
from .ball import LEVELS, Excess
from .listing import NAMED, Listing, Row, is_row, list_images, stop_at_first_faults
from .places import Place, Reader, image_digest
from .png import Unusable

CHUNK = 64  # clean images in memory at a time


@dataclass(frozen=True)
class GivenImages:
    """Images made elsewhere, by the positions of their clean images in the dataset.

    Attributes:
        root: The folder or the file that they are in.
        places: Where each is.
        digests: The SHA-256 of the pixels of each.
        targets: The class that the attack aimed at, of each; empty if unknown.
        eight_bit: Whether all are 8-bit levels.
        notes: What a reader must know of them.
    """

    root: Path
    places: Mapping[int, Place]
    digests: Mapping[int, str]
    targets: Mapping[int, int]
    eight_bit: bool
    notes: tuple[str, ...]


def image_names(images: Images) -> list[str]:
    """Return the name of each image of a dataset: that of its file without the suffix, or else its position, 00017."""
    names: Sequence[str] | None = getattr(images, "names", None)
    return [f"{index:05d}" for index in range(len(images.labels))] if names is None else list(names)


def open_given(
    root: Path, images: Images, budget: Budget, where: Mapping[str, str], array: str | None, project: bool
) -> GivenImages:
    """Open images that were made elsewhere.

    Args:
        root: The folder or the file that they are in.
        images: The dataset of the clean images.
        budget: The norm and the radius that they must keep to.
        where: Values of columns of the list; only the rows with these are taken.
        array: The name of the array in a file of arrays.
        project: Whether images outside the ball are accepted, since they are projected into it before they are judged.

    Raises:
        UsageError: with a line for every kind of mistake.
    """
    listing = list_images(root, images.shape, where, array)
    matched = _matched(listing, images)
    reader, problems = Reader(root, images.shape), defaultdict[str, list[str]](list)
    digests: dict[int, str] = {}
    excess, eight_bit = Excess(budget), True
    for chunk in _chunks(list(matched)):
        clean = images.load(chunk).clip(0, 1)
        for index, before in zip(chunk, clean, strict=True):
            row = matched[index]
            try:
                image = reader.read(row.place)
            except Unusable as error:
                problems[str(error)].append(str(row.place))
                continue
            except IndexError:
                problems["has no such row"].append(str(row.place))
                continue
            digests[index] = image_digest(image)
            if row.digest and row.digest != digests[index]:
                problems[f"differs from its digest in {listing.listed} (changed after it was exported)"].append(
                    str(row.place)
                )
            excess.add(str(row.place), before, in_unit_range(image))
            eight_bit = eight_bit and image.dtype == np.uint8
    stop_at_faults([Fault(_where(root, files), "", reason) for reason, files in problems.items()])
    notes = [*listing.notes, f"{len(matched)} images, {'8 bits' if eight_bit else 'float32, not rounded to 8 bits'}"]
    notes += list(_outside(excess, len(matched), root, project))
    notes += [f"perhaps {excess.one_sided}"] if excess.one_sided else []
    targets = {index: row.target for index, row in matched.items() if row.target is not None}
    complete = targets if len(targets) == len(matched) else {}
    places = {index: row.place for index, row in matched.items()}
    return GivenImages(root, places, digests, complete, eight_bit, tuple(notes))


def in_unit_range(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image as float32 in [0, 1], as an 8-bit file is read."""
    return image.astype(np.float32) / np.float32(LEVELS) if image.dtype == np.uint8 else image


def _chunks(indices: list[int]) -> Iterator[list[int]]:
    return (indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK))


def _where(root: Path, files: Sequence[str]) -> str:
    """Return the files that a line is about, the first of many by name."""
    listed = ", ".join(files[:NAMED])
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"{root / listed if root.is_dir() and len(files) == 1 else f'{root}: {listed}'}{more}"


def _outside(excess: Excess, count: int, root: Path, project: bool) -> Iterator[str]:
    """Yield a note if images outside the ball are to be projected. Raises UsageError if they are not."""
    if not excess.outside:
        return
    norm, eps, scale = excess.budget.norm, excess.budget.eps, LEVELS if excess.budget.norm == "linf" else 1
    unit = "/255" if scale == LEVELS else ""
    found = f"up to {excess.worst * scale:.4g}{unit}, eps {eps * scale:.4g}{unit}"
    reason = f": {excess.rounding}" if excess.rounding else ""
    many = f"{len(excess.outside)} of {count} images are outside the {norm} ball ({found}){reason}"
    if not project:
        raise UsageError(Fault(_where(root, excess.outside), "", f"{many} (--project moves them inside)"))
    yield f"{many}; they were projected into it"


def _matched(listing: Listing, images: Images) -> dict[int, Row]:
    """Return the row of each image of the dataset that has one. Raises UsageError for a row that matches none."""
    of_clean = {identity: index for index, identity in enumerate(images.ids)} if listing.rows[:1] else {}
    names = image_names(images)
    unique = _unique(names)
    by_position = getattr(images, "names", None) is None
    found: dict[int, Row] = {}
    faults: list[Fault] = []
    unmatched: list[str] = []
    for position, row in enumerate(listing.rows):
        if row.clean:
            index = of_clean.get(row.clean)
        elif row.name:
            index = int(row.name) if by_position and is_row(row.name) else unique.get(row.name)
        else:
            index = position
        if index is None or index >= len(names):
            unmatched.append(str(row.place))
        elif index in found:
            twice = f"{found[index].place} and {row.place} are both image {names[index]} of the dataset"
            faults.append(Fault(str(listing.root), "", twice))
        else:
            found[index] = row
    if unmatched:
        expected = f"the dataset's images are named {names[0]}, ..., {names[-1]}" if names else "the dataset is empty"
        faults.append(Fault(_where(listing.root, unmatched), "", f"no image of the dataset matches ({expected})"))
    stop_at_first_faults([*faults, *_label_faults(listing, found, images)], str(listing.root))
    return dict(sorted(found.items()))


def _unique(names: Sequence[str]) -> dict[str, int]:
    """Return the positions of the names that occur once."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        places[name].append(index)
    return {name: indices[0] for name, indices in places.items() if len(indices) == 1}


def _label_faults(listing: Listing, found: Mapping[int, Row], images: Images) -> Iterator[Fault]:
    """Yield a fault if the listing gives images other classes than the dataset."""
    wrong = {index: row for index, row in found.items() if row.label not in (None, int(images.labels[index]))}
    if wrong:
        index, row = next(iter(wrong.items()))
        offsets = {int(row.label or 0) - int(images.labels[i]) for i, row in wrong.items()}
        hint = " (are its classes counted from 1?)" if offsets == {1} and len(wrong) == len(found) else ""
        message = f"has the class {row.label}, in the dataset {images.labels[index]}{hint}"
        more = f"; so have {len(wrong) - 1} other images another class" if len(wrong) > 1 else ""
        yield Fault(str(listing.root / listing.listed), str(row.place), message + more)
