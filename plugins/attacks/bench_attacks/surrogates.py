"""Changed networks, lent for the length of one gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .branches import branches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from .draw import Draw
else:
    from bench_core.lazy import torch

NO_BRANCHES = (
    "gamma: the source {name} has no residual branches that are known here: no ResNet or SENet block, no dense layer, "
    "no module with an attribute `branch` (would do: such a source, budgets whose `sources` and `attacks` keep the "
    "two apart, or a network whose blocks keep in `branch` the module whose output is added)"
)


@dataclass(frozen=True)
class SkipGradient:
    """The network with the gradient through each residual branch times `gamma` (Wu et al., 2020).

    For a block `y = shortcut(x) + branch(x)` the gradient in x becomes `shortcut'(x) g + gamma * branch'(x) g`; for a
    dense layer `y = [x, branch(x)]` that of the new features is scaled. The factor is applied once a branch, at its
    output, whatever is inside; the network's answers do not change. Without `gamma` it is 0.2 for residual blocks and
    0.5 for dense layers. Blocks whose shortcut is a projection are left alone unless `projections`.
    """

    gamma: float | None
    projections: bool

    def check(self, model: Model) -> str | None:
        return None if branches(model, self.projections) else NO_BRANCHES.format(name=type(model).__name__)

    @contextmanager
    def lend(self, model: Model, _draw: Draw) -> Iterator[Model]:
        found = branches(model, self.projections)
        if not found:
            raise ValueError(self.check(model))
        with ExitStack() as hooks:
            for module, usual in found:
                hook = scaling(usual if self.gamma is None else self.gamma)
                hooks.callback(module.register_forward_hook(hook).remove)
            yield model


def scaling(gamma: float) -> Callable[[Any, Any, Tensor], None]:
    """Give a hook that scales the gradient of a module's output. It must stay a hook on the tensor: one on the module
    would fail where a block goes on to change that tensor in place."""

    def scale(_module: Any, _inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gamma * gradient)

    return scale


@dataclass(frozen=True)
class DiverseInput:
    """The network behind a random resize and pad (Xie et al., 2019): with `probability`, an image of side s is resized
    to a random side in [s, r) by nearest neighbour and put at a random place of a canvas of side r filled with zeros,
    r = `resize` * s. One draw for each image and step, shared by all its points. With `resize` below 1 the canvas
    keeps the side s and the image gets a side in [resize * s, s), for networks that take only one size.
    """

    probability: float
    resize: float

    def check(self, _model: Model) -> None:
        return None

    @contextmanager
    def lend(self, model: Model, draw: Draw) -> Iterator[Callable[..., Tensor]]:
        chosen, *places = draw.uniform("diversity", (4,)).double().unbind(1)
        moved = chosen < self.probability

        def diverse(images: Tensor, **how: Any) -> Tensor:
            each = len(images) // len(moved)
            rows = moved.repeat_interleave(each)
            canvas = self.pasted(images, *(place.repeat_interleave(each) for place in places))
            if canvas.shape == images.shape:
                logits: Tensor = model(canvas.where(rows.view(-1, 1, 1, 1), images), **how)
                return logits
            parts = torch.cat([asked(model, group, how) for group in (images[~rows], canvas[rows]) if len(group)])
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


def asked(model: Model, images: Tensor, how: Mapping[str, Any]) -> Tensor:
    """Ask a network about images of another size. Raises ValueError where it takes only one."""
    try:
        logits: Tensor = model(images, **how)
    except RuntimeError as error:
        height, width = images.shape[-2:]
        text = f"resize: the network fails on {height} x {width} pixels (would do: 0.9, which keeps its size): {error}"
        raise ValueError(text) from error
    return logits


def resampled(side: int, resize: float, scale: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Give for each image the pixel [n, canvas] that each place of the canvas shows, and whether it shows one."""
    other = round(side * resize)
    low, canvas = (side, max(other, side + 1)) if resize > 1 else (max(1, min(other, side - 1)), side)
    inner = low + (scale * (canvas - low)).long()
    start = (place * (canvas - inner)).long()
    offset = torch.arange(canvas, device=scale.device)[None] - start[:, None]
    inside = (offset >= 0) & (offset < inner[:, None])
    return (offset * side // inner[:, None]).clamp(0, side - 1), inside
