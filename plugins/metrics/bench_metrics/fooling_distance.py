"""The distance at which a target is fooled: what minimal-norm attacks minimise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.statistics import mean, proportion
from bench_core.types import Norm

from .shared.median import median

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score
else:
    from bench_core.lazy import torch

CHANGED = 1e-6  # of the image range: less is float32 rounding, as of `clean + (adversarial - clean)`


@dataclass(frozen=True)
class FoolingDistance:
    """Distance in one norm of the adversarial images that fool the target (targeted: as the target class).

    An image that the target misclassifies when clean is at distance 0, and one that the attack does not make it
    misclassify is at an infinite one. `median` is over all images, with the interval of its order statistics; it is
    missing if half of the images are not fooled. `mean` is over the fooled images and `fooled` is their share. The row
    `distance` has the value of each image. In `l0` it is the number of pixels of which any channel changed.
    """

    norm: Norm
    scores: ClassVar = ("median", "mean", "fooled")
    rows: ClassVar = ("distance",)

    def observe(self, clean: Examples, adversarial: Tensor, target: Model) -> Mapping[str, Tensor]:
        distance = size(adversarial - clean.images, self.norm)
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


def size(delta: Tensor, norm: Norm) -> Tensor:
    """Return the norms [n] of perturbations [n, c, h, w], in float64."""
    flat = delta.double().flatten(1)
    match norm:
        case "linf":
            return flat.abs().amax(1)
        case "l2":
            length: Tensor = flat.norm(dim=1)
            return length
        case "l1":
            return flat.abs().sum(1)
        case "l0":
            return (delta.abs() > CHANGED).any(1).flatten(1).sum(1).double()


METRIC = FoolingDistance
EXAMPLES = [{"norm": "l2"}, {"norm": "l0"}]
