"""The limit of an attack's passes: counts them for each image, and keeps what was found before an image had spent them.

A budget's `passes` is planned by `planning/budgets.py`, which fits the steps to it by the cost that an attack declares.
Here it is enforced, whatever the attack declares: a pass that would exceed it is not computed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import torch
from torch import Tensor

from ..norms import TOLERANCE, perturbation_size, size_limit
from ..types import Budget, Examples

P = ParamSpec("P")
IN_VAIN = 10  # times the limit, of passes in a row for images that have none left


class PassesSpent(BaseException):
    """All images have spent their passes, so that the attack ends.

    It is no Exception, so that no `except Exception` of a library swallows it.
    """


def rows_of(tensor: Tensor) -> int:
    """Return the number of rows of a tensor, in all copies that `torch.func.vmap` has of it."""
    count = len(tensor)
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        inner, place = torch._C._functorch.get_unwrapped(tensor), torch._C._functorch.maybe_get_bdim(tensor)
        count *= inner.shape[place] if place >= 0 else 1
        tensor = inner
    return count


def images_among(inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor | None:
    """Return the first tensor of a call's arguments: the images, given by position or by name."""
    return next((each for each in (*inputs, *named.values()) if isinstance(each, Tensor)), None)


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
    call of as many rows as there are images are theirs in order, except for a row that is outside of its image's ball
    and inside that of another, as where all rows are copies of one image. Any other row is of the nearest clean image.
    What counts of an image is what was found before it had spent its passes. The attack ends when all have, or when it
    has made ten times as many passes in a row that all were of images without any left: it may never go on to another.

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
        self.in_vain = 0

    def __deepcopy__(self, _memo: Any) -> PassLimit:
        """Return the limit itself, so that what a copy of the network is asked is seen."""
        return self

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
        self.in_vain = self.in_vain + len(owners) if self.over[owners].all() else 0
        if self.in_vain > IN_VAIN * self.passes:
            self.over.fill_(True)
        if self.over.all():
            raise PassesSpent
        passes += more * ~self.over

    def owners(self, rows: Tensor) -> Tensor:
        """Return the index of the image whose passes each row spends, int64 [m]."""
        return self.made_from(rows) if self.searches else self.in_order(rows)

    def in_order(self, rows: Tensor) -> Tensor:
        """Return the index of each row's image if rows are the images in order, once or several times."""
        with torch._C._DisableFuncTorch():
            return torch.arange(rows_of(rows), device=self.over.device) % len(self.over)

    def made_from(self, rows: Tensor) -> Tensor:
        """Return the index of the image that each row is made from, int64 [m]."""
        clean, in_order = self.examples.images, self.in_order(rows)
        if rows.shape[1:] != clean.shape[1:] or torch._C._functorch.is_functorch_wrapped_tensor(rows):
            return in_order
        rows = rows.detach()
        if len(rows) != len(clean):
            return self._nearest(rows)
        inside = self._inside(rows, in_order)
        if inside.all():
            return in_order
        nearest = self._nearest(rows)
        return nearest.where(~inside & self._inside(rows, nearest), in_order)

    def _nearest(self, rows: Tensor) -> Tensor:
        return torch.cdist(rows.flatten(1).float(), self.examples.images.flatten(1).float()).argmin(1)

    def _inside(self, rows: Tensor, owners: Tensor) -> Tensor:
        """Return which rows are in the balls of their images, bool [m]."""
        return perturbation_size(rows - self.examples.images[owners], self.budget.norm) <= size_limit(self.budget)

    def observe(self, _source: Any, inputs: tuple[Any, ...], named: Mapping[str, Any], logits: Any) -> None:
        """Look whether the points of a call of the source are the nearest ones so far. A forward hook."""
        rows, clean = images_among(inputs, named), self.examples.images
        if rows is None or not isinstance(logits, Tensor) or rows.shape[1:] != clean.shape[1:]:
            return
        if logits.ndim != 2 or torch._C._functorch.is_functorch_wrapped_tensor(logits):
            return
        owners, points, classes = self.made_from(rows), rows.detach(), logits.detach().argmax(1)
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
