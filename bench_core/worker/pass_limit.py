"""The limit of an attack's passes: counts them for each image, and keeps what was found before an image had spent them.

A budget's `passes` is planned by `planning/budgets.py`, which fits the steps to it by the cost that an attack declares.
Here it is enforced, whatever the attack declares: a pass that would exceed it is not computed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
from torch import Tensor

from ..norms import TOLERANCE, perturbation_size, size_limit
from ..types import Budget, Examples

P = ParamSpec("P")


class PassesSpent(Exception):
    """All images have spent their passes, so that the attack ends."""


def rows_of(tensor: Tensor) -> int:
    """Return the number of rows of a tensor, in all copies that `torch.func.vmap` has of it."""
    count = len(tensor)
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        inner, place = torch._C._functorch.get_unwrapped(tensor), torch._C._functorch.maybe_get_bdim(tensor)
        count *= inner.shape[place] if place >= 0 else 1
        tensor = inner
    return count


def outside_transforms(method: Callable[P, None]) -> Callable[P, None]:
    """Run a method on plain tensors, also where a transform of `torch.func` calls the network."""

    @functools.wraps(method)
    def plain(*arguments: P.args, **named: P.kwargs) -> None:
        with torch._C._DisableFuncTorch():
            method(*arguments, **named)

    return plain


class PassLimit:
    """The passes that each image of a batch has left, and the nearest point that fooled the source of each.

    An attack that treats all images alike spends the passes of a call evenly. A search for the smallest perturbation
    may go on with some of the images, or take one after another, so its passes are counted image by image: those of a
    call of as many rows as there are images are theirs in order, and any other row is of the nearest clean image.
    What counts of an image is what was found before it had spent its passes. The attack ends when all have.

    Attributes:
        passes: The most forwards and backwards together for one image, through all networks of the source.
        searches: Whether the attack searches for the smallest perturbation.
        forwards: The forwards of each image within the limit, [n].
        backwards: Its backwards, [n].
        over: Whether it needed more passes than it has, bool [n].
        distances: The distance of the nearest point in the ball that the attack asked the source about and that fools
            it, in the norm of the budget, [n]; infinite if there is none.
    """

    def __init__(self, passes: int, examples: Examples, budget: Budget, searches: bool) -> None:
        self.passes, self.examples, self.budget, self.searches = passes, examples, budget, searches
        clean = examples.images
        self.forwards, self.backwards = (clean.new_zeros(len(clean), dtype=torch.float64) for _ in range(2))
        self.over = clean.new_zeros(len(clean), dtype=torch.bool)
        self.images, self.distances = clean.clone(), clean.new_full((len(clean),), torch.inf)

    def restore(self, forwards: int, backwards: int) -> None:
        """Continue after so many passes of all images together, in a resumed attack that treats all images alike."""
        self.forwards.fill_(forwards / len(self.forwards))
        self.backwards.fill_(backwards / len(self.backwards))

    def forward(self, rows: Tensor) -> Tensor:
        """Count a call of a network with rows [m, c, h, w], and return the index of each row's image, [m].

        Raises:
            PassesSpent: no image has a pass left.
        """
        owners = self.owners(rows)
        self._spend(self.forwards, owners)
        return owners

    def backward(self, owners: Tensor) -> None:
        """Count the backward pass of rows of these images. Raises PassesSpent if no image has a pass left."""
        self._spend(self.backwards, owners)

    @outside_transforms
    def _spend(self, passes: Tensor, owners: Tensor) -> None:
        count = len(passes)
        if self.searches:
            more = torch.bincount(owners, minlength=count).to(passes)
        else:
            more = torch.full_like(passes, len(owners) / count)
        needed = self.forwards + self.backwards + more
        self.over |= (more > 0) & (needed > self.passes * (1 + 1e-9))  # shares of a call are fractions
        if self.over.all():
            raise PassesSpent
        passes += more * ~self.over

    def owners(self, rows: Tensor) -> Tensor:
        """Return the index of the image that each row is made from, int64 [m]."""
        clean = self.examples.images
        hidden = torch._C._functorch.is_functorch_wrapped_tensor(rows)
        with torch._C._DisableFuncTorch():
            in_order = torch.arange(rows_of(rows), device=clean.device) % len(clean)
        if not self.searches or len(rows) == len(clean) or rows.shape[1:] != clean.shape[1:] or hidden:
            return in_order
        return torch.cdist(rows.detach().flatten(1).float(), clean.flatten(1).float()).argmin(1)

    def observe(self, _source: Any, inputs: tuple[Any, ...], logits: Any) -> None:
        """Look whether the points of a call of the source are the nearest ones so far. A forward hook."""
        rows, clean = inputs[0], self.examples.images
        if not isinstance(rows, Tensor) or not isinstance(logits, Tensor) or rows.shape[1:] != clean.shape[1:]:
            return
        if logits.ndim != 2 or torch._C._functorch.is_functorch_wrapped_tensor(logits):
            return
        owners, points, classes = self.owners(rows), rows.detach(), logits.detach().argmax(1)
        examples = self.examples
        fooled = classes != examples.labels[owners] if examples.targets is None else classes == examples.targets[owners]
        flat = points.flatten(1)
        inside = (flat.amin(1) >= -TOLERANCE) & (flat.amax(1) <= 1 + TOLERANCE) & flat.isfinite().all(1)
        sizes = perturbation_size(points - clean[owners], self.budget.norm)
        nearer = fooled & inside & ~self.over[owners] & (sizes <= size_limit(self.budget))
        for row in (nearer & (sizes < self.distances[owners])).nonzero().flatten().tolist():
            owner = int(owners[row])
            if sizes[row] < self.distances[owner]:  # another row of the call may be nearer still
                self.distances[owner], self.images[owner] = sizes[row], points[row]

    def result(self, images: Tensor | None) -> Tensor:
        """Return what counts, given the attack's last images, or None if it has returned none.

        For a search that is the nearest point that was asked about. Without one, it is what the attack returned before
        the image had spent its passes, or else the clean image.
        """
        if images is not None and not self.searches:
            return images
        shape = (-1, *[1] * (self.images.ndim - 1))
        last = self.examples.images if images is None else images.where(~self.over.view(shape), self.examples.images)
        return self.images.where(self.distances.isfinite().view(shape), last)
