"""The donors of a dataset: the fixed clean images that some attacks mix into the attacked ones."""

from __future__ import annotations

from .data_mean import sampled
from .digests import digest
from .types import Images


def donor_indices(total: int, count: int) -> list[int]:
    """Return the indices of the donors: evenly spaced, because the dataset may be sorted by class."""
    return sampled(total, count)


def donors_digest(images: Images, count: int) -> str:
    """Return the digest of the donors' ids and labels, which is part of the address of what uses them."""
    chosen = donor_indices(len(images.ids), count)
    return digest([[images.ids[index], int(images.labels[index])] for index in chosen])
