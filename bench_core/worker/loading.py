"""Loads the images of jobs, and the mean image of their dataset."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data_mean import data_mean, data_mean_digest
from ..errors import Fault, UsageError
from ..planning.jobs import Batch
from ..planning.specs import DatasetSpec
from ..registry import Registry
from ..types import Examples, Images
from .contracts import check_examples

OTHER_IMAGES = Fault("data", "ids", "the images here are not those of the plan")


class Loader:
    """Opens each dataset once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.datasets: dict[str, Images] = {}
        self.means: dict[str, Tensor] = {}

    def dataset(self, spec: DatasetSpec) -> Images:
        key = repr(spec)
        if key not in self.datasets:
            offer = self.registry.find("datasets", spec.recipe, "data", "kind")
            self.datasets[key] = offer.build(**spec.options)
        return self.datasets[key]

    def examples(self, batch: Batch, device: str) -> Examples:
        """Load a batch. Raises UsageError if the images here are not the plan's, or not what a dataset promises."""
        data = self.dataset(batch.data)
        if tuple(data.ids[i] for i in batch.indices) != batch.ids:
            raise UsageError(OTHER_IMAGES)
        images = torch.from_numpy(data.load(list(batch.indices))).to(device)
        labels = torch.tensor(batch.labels, device=device)
        targets = None if batch.targets is None else torch.tensor(batch.targets, device=device)
        check_examples(images, labels, data.shape)
        return Examples(images, labels, batch.ids, targets)

    def data_mean(self, spec: DatasetSpec, wanted: str, device: str) -> Tensor:
        """Return the mean image [c, h, w] whose digest is `wanted`, computed once."""
        if wanted not in self.means:
            data = self.dataset(spec)
            if data_mean_digest(data) != wanted:
                raise UsageError(OTHER_IMAGES)
            self.means[wanted] = torch.from_numpy(data_mean(data)).to(device)
        return self.means[wanted]
