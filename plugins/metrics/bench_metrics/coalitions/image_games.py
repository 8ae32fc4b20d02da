"""The game of an image: the network's output when the cells of a coalition show the image, the others a baseline.

The game of a perturbation is the same with the adversarial image, and the clean image as the baseline.
"""

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
BLUR = 1 / 8  # standard deviation as a share of the side; wide enough to blur away all shapes at 28 and 224 pixels


def baseline(name: BaselineName, images: Tensor, data_mean: Tensor) -> Tensor:
    """Return what absent cells show.

    Args:
        name: `channel_mean`, the mean of each channel over the data; `pixel_mean`, the average image; `zero`, black;
            `blur`, the image under a Gaussian whose standard deviation is an eighth of its side, edges repeated.
        images: Images [n, c, h, w].
        data_mean: The average image of the dataset, [c, h, w].

    Returns:
        Images [n, c, h, w].
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
        position = torch.arange(length, dtype=images.dtype, device=images.device)
        reach = torch.arange(-length, 2 * length, dtype=images.dtype, device=images.device)
        weight = (-0.5 * ((reach - position[:, None]) / (BLUR * length)) ** 2).exp()
        source = reach.clamp(0, length - 1).long()
        matrix = torch.zeros_like(weight[:, :length]).index_add_(1, source, weight)
        images = (images.movedim(dimension, -1) @ (matrix / matrix.sum(1, keepdim=True)).T).movedim(-1, dimension)
    return images


def log_prob(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute `log p_y` [b] of logits [b, classes] and classes y int64 [b]."""
    return pick(logits.log_softmax(-1), classes)


def others(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute `log sum_{y' != y} exp h_y'` [b] of logits h [b, classes], classes y int64 [b] (2103.07364, app. I.6)."""
    return logits.scatter(-1, classes[:, None], -torch.inf).logsumexp(-1)


# `margin` is negated, so that it grows with the evidence for class y, as `log_prob` and `logit` do
OUTPUTS: Mapping[OutputName, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"log_prob": log_prob, "others": others, "logit": pick, "margin": lambda h, y: -margin(h, y)}
)


def game_classes(name: ClassName, clean: Examples, adversarial: Tensor, source: Model) -> Tensor:
    """Return the class that each image's game is about.

    Args:
        name: `true`, the label; `target`, the class of a targeted attack. Without one, `target` is the class predicted
            for the adversarial image or, if that is the label, the strongest wrong class (arXiv:2103.07364,
            sec. 4.1).
        clean: The clean images.
        adversarial: The adversarial images [n, c, h, w].
        source: The network.

    Returns:
        Classes, int64 [n].
    """
    if name == "true":
        return clean.labels
    if clean.targets is not None:
        return clean.targets
    return strongest_other(source(adversarial), clean.labels)


def image_game(
    source: Model, images: Tensor, absent: Tensor, grid: int, output: OutputName, classes: Tensor
) -> CellGame:
    """Build the game of images.

    Args:
        source: The network.
        images: Images [n, c, h, w].
        absent: What absent cells show, [n, c, h, w]; see `baseline`.
        grid: Cells per side.
        output: Name of the value of a row of logits, a key of `OUTPUTS`.
        classes: The class that the value is about, int64 [n].

    Returns:
        The game of the n images.
    """
    return CellGame(source, images, absent, grid, OUTPUTS[output], classes)


def perturbation_game(source: Model, clean: Examples, adversarial: Tensor, grid: int) -> CellGame:
    """Build the game of a perturbation, `v(S) = max_{y' != y} h_y' - h_y` (arXiv:2010.04055, sec. 3.1).

    Args:
        source: The network.
        clean: The clean images, which the cells outside of S show.
        adversarial: The adversarial images [n, c, h, w], which the cells of S show.
        grid: Cells per side.

    Returns:
        The game of the n images.
    """
    return CellGame(source, adversarial, clean.images, grid, margin, clean.labels)
