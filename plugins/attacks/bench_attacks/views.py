"""Apply a chain of views: each makes copies of the copies of the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .kinds import View
    from .run_state import RunState


def copies_of(views: Sequence[View]) -> int:
    """Return the number of copies that the chain makes of each image."""
    return prod(view.count for view in views)


def apply_views(views: Sequence[View], images: Tensor, run: RunState) -> Tensor:
    """Return the copies [n, k, c, h, w] of images [n, c, h, w], image-major: the last view's copies vary fastest."""
    copies = images[:, None]
    for view in views:
        made = copies.shape[1]
        copies = apply_view(view, copies.flatten(0, 1), run.repeated(made)).unflatten(0, (-1, made)).flatten(1, 2)
        run_shape = (len(images), made * view.count)
        assert copies.shape[:2] == run_shape, f"{type(view).__name__} made {copies.shape[1]} copies"
    return copies


def apply_view(view: View, images: Tensor, run: RunState) -> Tensor:
    """Return the copies of one view; without `through` the gradient in an image is the sum of those at its copies."""
    if view.through:
        return view.apply(images, run)
    return view.apply(images.detach(), run).detach() + (images - images.detach())[:, None]
