"""Loads the images of jobs, and the mean image of their dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data_mean import data_mean, data_mean_digest
from ..donors import donor_indices, donors_digest
from ..errors import Fault, UsageError
from ..given.places import Reader
from ..planning.jobs import Batch
from ..planning.specs import DatasetSpec, GivenSpec
from ..registry import Registry
from ..types import Examples, Images
from .contracts import check_examples
from .quantise import from_levels

OTHER_IMAGES = Fault("data", "ids", "the images here differ from those of the plan")


class Loader:
    """Loads images; opens each dataset once, and keeps it and its mean image."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.datasets: dict[str, Images] = {}
        self.means: dict[str, Tensor] = {}
        self.readers: dict[str, Reader] = {}

    def dataset(self, spec: DatasetSpec) -> Images:
        key = repr(spec)
        if key not in self.datasets:
            offer = self.registry.find("datasets", spec.recipe, "data", "kind")
            self.datasets[key] = offer.build(**spec.options)
        return self.datasets[key]

    def examples(self, batch: Batch, device: str) -> Examples:
        """Load a batch. Raises UsageError if its images differ from the plan's or break the dataset's contract."""
        data = self.dataset(batch.data)
        if tuple(data.ids[i] for i in batch.indices) != batch.ids:
            raise UsageError(OTHER_IMAGES)
        # a copy, because the dataset may return a view of what it keeps for later jobs
        images = torch.from_numpy(data.load(list(batch.indices))).clone().to(device)
        labels = torch.tensor(batch.labels, device=device)
        targets = None if batch.targets is None else torch.tensor(batch.targets, device=device)
        check_examples(images, labels, data.shape)
        return Examples(images.clamp(0, 1), labels, batch.ids, targets)  # they may be outside by a rounding

    def donors(self, spec: DatasetSpec, count: int, identity: str | None, device: str) -> Examples:
        """Load the donors of a dataset. Raises UsageError if their digest is not `identity`."""
        data = self.dataset(spec)
        if donors_digest(data, count) != identity:
            raise UsageError(OTHER_IMAGES)
        chosen = donor_indices(len(data.ids), count)
        ids, labels = tuple(data.ids[i] for i in chosen), tuple(int(data.labels[i]) for i in chosen)
        return self.examples(Batch(spec, tuple(chosen), ids, labels, None), device)

    def given(self, spec: GivenSpec, shape: Sequence[int], device: str) -> Tensor:
        """Load images [n, c, h, w] that were attacked elsewhere. Raises UsageError if they are not those of the plan.

        Args:
            spec: Where they are.
            shape: The shape (c, h, w) of the dataset's images.
            device: The device to put them on.
        """
        channels, height, width = shape
        if spec.root not in self.readers:
            self.readers[spec.root] = Reader(Path(spec.root), (channels, height, width))
        reader = self.readers[spec.root]
        read = [reader.verified(place, digest) for place, digest in zip(spec.places, spec.digests, strict=True)]
        images = map(torch.tensor, read)
        return torch.stack([from_levels(each) if each.dtype == torch.uint8 else each for each in images]).to(device)

    def data_mean(self, spec: DatasetSpec, identity: str, device: str) -> Tensor:
        """Return the mean image [c, h, w] whose digest is `identity`, computed once."""
        if identity not in self.means:
            data = self.dataset(spec)
            if data_mean_digest(data) != identity:
                raise UsageError(OTHER_IMAGES)
            self.means[identity] = torch.from_numpy(data_mean(data)).to(device)
        return self.means[identity].clone()
