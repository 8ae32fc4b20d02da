"""The distance at which a target is fooled: what minimal-norm attacks minimise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.norms import perturbation_size
from bench_core.statistics import mean, proportion
from bench_core.types import Norm

from .shared.median import median

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class FoolingDistance:
    """Distance in one norm of the adversarial images that fool the target (targeted: as the target class).

    An image that the target misclassifies when clean is at distance 0, and one that the attack does not make it
    misclassify is at an infinite one. `median` is over all images, with the interval of its order statistics; it is
    infinite if half of the images are not fooled. `mean` is over the fooled images and `fooled` is their share. The row
    `distance` has the value of each image. In `l0` it is the number of pixels of which any channel changed.
    """

    norm: Norm
    scores: ClassVar = ("median", "mean", "fooled")
    rows: ClassVar = ("distance",)
    sizes: ClassVar = ("distance",)

    def observe(self, clean: Examples, adversarial: Tensor, target: Model) -> Mapping[str, Tensor]:
        distance = perturbation_size((adversarial - clean.images).double(), self.norm)
        distance = distance.where(fooled(target(adversarial), clean), torch.inf)
        return {"distance": torch.zeros_like(distance).where(fooled(target(clean.images), clean), distance)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        distances = rows["distance"].astype(np.float64)
        known, found = ~np.isnan(distances), np.isfinite(distances)
        yield median("median", distances[known])
        yield mean("mean", distances[found], images=found)
        yield proportion("fooled", found[known], images=known)


def fooled(logits: Tensor, examples: Examples) -> Tensor:
    """Return which images have the target class, or without one a wrong class, bool [n]."""
    predicted = logits.argmax(1)
    return predicted != examples.labels if examples.targets is None else predicted == examples.targets


METRIC = FoolingDistance
EXAMPLES = [{"norm": "l2"}, {"norm": "l0"}]
