"""The game of an image: what a network says of it when only the cells of a coalition show and the others a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from bench_core.logits import margin, pick, strongest_other

from .games import CellGame

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model
else:
    from bench_core.lazy import torch

BaselineName = Literal["channel_mean", "pixel_mean", "zero", "blur"]
OutputName = Literal["log_prob", "others", "logit", "margin"]
ClassName = Literal["true", "target"]
BLUR = 1 / 8  # of the image's side: the standard deviation, at which no shape is left of a 28 or a 224 pixel image


def baseline(name: BaselineName, images: Tensor, data_mean: Tensor) -> Tensor:
    """Give what absent cells show, [n, c, h, w].

    `channel_mean`: the data's mean of each channel; `pixel_mean`: `data_mean` [c, h, w] itself, the average image;
    `zero`: black; `blur`: the image under a Gaussian of an eighth of its side, edges repeated.
    """
    match name:
        case "channel_mean":
            return data_mean.to(images).mean((1, 2), keepdim=True).expand_as(images)
        case "pixel_mean":
            return data_mean.to(images).expand_as(images)
        case "zero":
            return torch.zeros_like(images)
        case "blur":
            return _blurred(images)


def _blurred(images: Tensor) -> Tensor:
    for dimension in (-2, -1):
        length = images.shape[dimension]
        place = torch.arange(length, dtype=images.dtype, device=images.device)
        reach = torch.arange(-length, 2 * length, dtype=images.dtype, device=images.device)
        weight = (-0.5 * ((reach - place[:, None]) / (BLUR * length)) ** 2).exp()
        source = reach.clamp(0, length - 1).long()
        matrix = torch.zeros_like(weight[:, :length]).index_add_(1, source, weight)
        images = (images.movedim(dimension, -1) @ (matrix / matrix.sum(1, keepdim=True)).T).movedim(-1, dimension)
    return images


def log_prob(logits: Tensor, classes: Tensor) -> Tensor:
    """`log p_y`, logits [b, classes] -> [b]."""
    return pick(logits.log_softmax(-1), classes)


def others(logits: Tensor, classes: Tensor) -> Tensor:
    """`log sum_{y' != y} exp h_y'` (arXiv:2103.07364, app. I.6), logits [b, classes] -> [b]."""
    return logits.scatter(-1, classes[:, None], -torch.inf).logsumexp(-1)


OUTPUTS: Mapping[OutputName, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"log_prob": log_prob, "others": others, "logit": pick, "margin": lambda h, y: -margin(h, y)}
)


def watched_classes(of: ClassName, clean: Examples, adversarial: Tensor, source: Model) -> Tensor:
    """Give the class [n] that a game is about.

    The target is what a targeted attack aims at; of an untargeted one, the class that the adversarial image is taken
    for (arXiv:2103.07364, sec. 4.1), or where it is still recognised, the strongest wrong one.
    """
    if of == "true":
        return clean.labels
    if clean.targets is not None:
        return clean.targets
    return strongest_other(source(adversarial), clean.labels)


def image_game(
    source: Model, images: Tensor, absent: Tensor, grid: int, output: OutputName, classes: Tensor
) -> CellGame:
    """Make the game of images [n, c, h, w] whose absent cells show `absent` [n, c, h, w]."""
    return CellGame(source, images, absent, grid, OUTPUTS[output], classes)
