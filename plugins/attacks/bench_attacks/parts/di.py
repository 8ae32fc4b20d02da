"""Input diversity (Xie et al., 2019; arXiv:1803.06978)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

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
    """The network applied to images that are, each with the given `probability`, resized and padded at random.

    An image of side s is resized by nearest neighbour to a random side in [s, r), where r = `resize` * s, and put at a
    random position on a canvas of side r filled with zeros. The random numbers of an image and step are shared by all
    its points. With `resize` below 1 the canvas has side s and the image a side in [resize * s, s), for networks that
    accept only one size.
    """

    probability: float
    resize: float
    forwards: ClassVar[int] = 0
    wraps: ClassVar[bool] = True  # it yields a function, not the network

    @property
    def resizes(self) -> bool:
        """Whether the network gets images of two sizes."""
        return self.resize > 1 and self.probability > 0

    @property
    def splits(self) -> bool:
        """Whether the network gets the images of a batch in two calls, by their size."""
        return self.resizes and self.probability < 1

    def check(self, _model: Model) -> None:
        return None

    @contextmanager
    def apply(self, model: Any, run: RunState) -> Iterator[Callable[..., Tensor]]:
        chance, *positions = run.rng.uniform("diversity", (4,)).double().unbind(1)
        resized = chance < self.probability

        def diverse(images: Tensor, **arguments: Any) -> Tensor:
            points = len(images) // len(resized)
            rows = resized.repeat_interleave(points)
            canvas = self.pasted(images, *(position.repeat_interleave(points) for position in positions))
            if canvas.shape == images.shape:
                logits: Tensor = model(canvas.where(rows.view(-1, 1, 1, 1), images), **arguments)
                return logits
            groups = (images[~rows], canvas[rows])
            parts = torch.cat([forward_resized(model, group, arguments) for group in groups if len(group)])
            order = torch.cat([(~rows).nonzero(), rows.nonzero()]).squeeze(1)
            return parts[order.argsort()]

        yield diverse

    def pasted(self, images: Tensor, scale: Tensor, down: Tensor, right: Tensor) -> Tensor:
        """Resize each image [n, c, h, w] and paste it onto a canvas, given three random numbers [n] in [0, 1)."""
        for axis, place in ((-2, down), (-1, right)):
            source, inside = resampled(images.shape[axis], self.resize, scale, place)
            shape = (-1, 1, source.shape[1], 1) if axis == -2 else (-1, 1, 1, source.shape[1])
            index = source.view(shape)
            size = list(images.shape)
            size[axis] = source.shape[1]
            images = images.gather(axis, index.expand(size)) * inside.view(shape)
        return images


def forward_resized(model: Any, images: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """Return logits of resized images. Raises ValueError if the network accepts only one size."""
    try:
        logits: Tensor = model(images, **arguments)
    except RuntimeError as error:
        height, width = images.shape[-2:]
        text = f"resize: the network fails on {height} x {width} pixels (try 0.9, which keeps its size): {error}"
        raise ValueError(text) from error
    return logits


def resampled(side: int, resize: float, scale: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return, along one axis, the source pixel of each canvas pixel [n, canvas], and whether it is inside the image."""
    resized = round(side * resize)
    low, canvas = (side, max(resized, side + 1)) if resize > 1 else (max(1, min(resized, side - 1)), side)
    inner = low + (scale * (canvas - low)).long()
    start = (place * (canvas - inner)).long()
    offset = torch.arange(canvas, device=scale.device)[None] - start[:, None]
    inside = (offset >= 0) & (offset < inner[:, None])
    return (offset * side // inner[:, None]).clamp(0, side - 1), inside


def di(
    attack: GradientAttack, *, probability: Share = 0.5, resize: Annotated[float, Gt(0)] = 330 / 299
) -> GradientAttack:
    """Resize and pad each image at random before the network (Xie et al., 2019).

    As in the authors' code, the network gets the larger canvas. TransferAttack resizes it back to the side of the
    image, bilinearly, and makes one draw for a batch.

    Args:
        attack: The attack.
        probability: The probability that an image is resized.
        resize: The largest side of a resized image, in units of its side.
    """
    return attack.with_surrogates(*attack.surrogates, DiverseInput(probability, resize))


RECIPE = recipe(di)
