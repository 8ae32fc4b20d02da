"""What belongs to each point of a query, so that a batch can be split by rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench_core.types import Examples

from .members import averages_losses, members_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from .run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Rows:
    """Points [n, c, h, w], and for each row the example, the run's state and other tensors [n, ...], or None."""

    images: Tensor
    examples: Examples
    run: RunState
    clean: Tensor | None  # [n, members, classes], logits at the clean images
    data: Tensor | None  # what the loss gets beside the outputs
    weights: Tensor | None  # [n, members], the members' weights

    def at_points(self, images: Tensor, points: int, query: int, places: slice | Tensor) -> Rows:
        """Return the rows for some points, of which each image has `points`.

        Only these are copied, since all points of all images may be many.

        Args:
            images: All points, image-major [n * points, c, h, w].
            points: The number of points of each image.
            query: The number of the query within the step.
            places: The points to take: a slice, which has a start and a stop, or positions [m].
        """
        owners: slice | Tensor = places
        if points > 1:
            every = torch.arange(len(images), device=images.device)
            owners = every[places] // points

        def each(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[owners]

        return Rows(
            images[places], chosen(self.examples, owners), self.run.at_rows(owners, points, query, places),
            each(self.clean), each(self.data), each(self.weights),
        )  # fmt: skip

    def of_member(self, network: Model, source: Model) -> Rows:
        """Return the rows for one member of the source, with its own logits at the clean images if there are any."""
        if self.clean is None or not averages_losses(source):
            return self
        number = next(i for i, member in enumerate(members_of(source)) if member is network)
        return replace(self, clean=self.clean[:, number : number + 1])

    def weighted(self) -> Rows:
        """Return the rows with the clean logits of all members added by the weights, as those at the points are."""
        if self.clean is None or self.weights is None or self.clean.shape[1] != self.weights.shape[1]:
            return self
        return replace(self, clean=(self.weights[:, :, None] * self.clean).sum(1, keepdim=True))


def repeated(examples: Examples, times: int) -> Examples:
    """Repeat each example `times` times, image-major: [n * times]."""
    if times == 1:
        return examples
    images, labels = (tensor.repeat_interleave(times, 0) for tensor in (examples.images, examples.labels))
    targets = None if examples.targets is None else examples.targets.repeat_interleave(times)
    return Examples(images, labels, tuple(image_id for image_id in examples.ids for _ in range(times)), targets)


def chosen(examples: Examples, rows: slice | Tensor) -> Examples:
    """Return some of the examples: those of a slice, or those at positions [m]."""
    if isinstance(rows, slice):
        return examples.take(rows)
    targets = None if examples.targets is None else examples.targets[rows]
    ids = tuple(examples.ids[row] for row in rows.tolist())
    return Examples(examples.images[rows], examples.labels[rows], ids, targets)
