"""The donors of a dataset: the fixed clean images that some attacks mix into the attacked ones."""

from __future__ import annotations

import random

from .digests import digest
from .types import Images


def donor_indices(total: int, count: int) -> list[int]:
    """Return the indices of the donors: one drawn from each of `count` equal parts of the dataset.

    So they have many classes, also if the dataset is sorted by class, or repeats its classes in turn.
    """
    count, drawn = min(total, count), random.Random(0)  # its `random` returns the same numbers in all versions
    edges = [(part * total // count, (part + 1) * total // count) for part in range(count)]
    return [first + int(drawn.random() * (end - first)) for first, end in edges]


def donors_digest(images: Images, count: int) -> str:
    """Return the digest of the donors' ids and labels, which is part of the address of what uses them."""
    chosen = donor_indices(len(images.ids), count)
    return digest([[images.ids[index], int(images.labels[index])] for index in chosen])
