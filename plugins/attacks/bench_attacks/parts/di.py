"""Input diversity (Xie et al., 2019; arXiv:1803.06978)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from ..compose import Share, recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class DiverseInput:
    """The network behind a random resize and pad, which an image goes through with `probability`.

    An image of side s is resized to a random side in [s, r) by nearest neighbour, r = `resize` * s, and put at a random
    place of a canvas of side r filled with zeros. There is one draw for each image and step, shared by all its points.
    With `resize` below 1 the canvas keeps the side s and the image gets a side in [resize * s, s), for networks that
    take only one size.
    """

    probability: float
    resize: float

    def check(self, _model: Model) -> None:
        return None

    @contextmanager
    def apply(self, model: Any, run: RunState) -> Iterator[Callable[..., Tensor]]:
        chosen, *places = run.rng.uniform("diversity", (4,)).double().unbind(1)
        moved = chosen < self.probability

        def diverse(images: Tensor, **arguments: Any) -> Tensor:
            points = len(images) // len(moved)
            rows = moved.repeat_interleave(points)
            canvas = self.pasted(images, *(place.repeat_interleave(points) for place in places))
            if canvas.shape == images.shape:
                logits: Tensor = model(canvas.where(rows.view(-1, 1, 1, 1), images), **arguments)
                return logits
            groups = (images[~rows], canvas[rows])
            parts = torch.cat([forward_resized(model, group, arguments) for group in groups if len(group)])
            order = torch.cat([(~rows).nonzero(), rows.nonzero()]).squeeze(1)
            return parts[order.argsort()]

        yield diverse

    def pasted(self, images: Tensor, scale: Tensor, down: Tensor, right: Tensor) -> Tensor:
        """Resize each image [n, c, h, w] and paste it onto a canvas, by three numbers in [0, 1) for each image."""
        for axis, place in ((-2, down), (-1, right)):
            source, inside = resampled(images.shape[axis], self.resize, scale, place)
            shape = (-1, 1, source.shape[1], 1) if axis == -2 else (-1, 1, 1, source.shape[1])
            index = source.view(shape)
            size = list(images.shape)
            size[axis] = source.shape[1]
            images = images.gather(axis, index.expand(size)) * inside.view(shape)
        return images


def forward_resized(model: Any, images: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """Return logits of images of another size. Raises ValueError where the network takes only one size."""
    try:
        logits: Tensor = model(images, **arguments)
    except RuntimeError as error:
        height, width = images.shape[-2:]
        text = f"resize: the network fails on {height} x {width} pixels (try 0.9, which keeps its size): {error}"
        raise ValueError(text) from error
    return logits


def resampled(side: int, resize: float, scale: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each image which pixel each place of the canvas shows, [n, canvas], and whether it shows one."""
    other = round(side * resize)
    low, canvas = (side, max(other, side + 1)) if resize > 1 else (max(1, min(other, side - 1)), side)
    inner = low + (scale * (canvas - low)).long()
    start = (place * (canvas - inner)).long()
    offset = torch.arange(canvas, device=scale.device)[None] - start[:, None]
    inside = (offset >= 0) & (offset < inner[:, None])
    return (offset * side // inner[:, None]).clamp(0, side - 1), inside


def di(
    attack: GradientAttack, *, probability: Share = 0.5, resize: Annotated[float, Gt(0)] = 330 / 299
) -> GradientAttack:
    """Resize and pad the input at random, each image on its own (Xie et al., 2019)."""
    return attack.with_surrogates(*attack.surrogates, DiverseInput(probability, resize))


RECIPES = {"di": recipe(di)}
