"""Likely mistakes in a network's preprocessing: what changes of the images would undo them, and with what accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..batches import batched_forward

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..types import Model
else:
    from ..lazy import torch

EXAMINED_IMAGES = 100  # the first of the dataset
COLOURS = 3
AS_IT_IS = "as_it_is"  # the row of the unchanged images
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))
HALF = ((0.5,), (0.5,))
LEVELS = ((0.0,), (1 / 255,))
CAFFE = (tuple(level / 255 for level in (103.939, 116.779, 123.68)), (1 / 255,))
Constants = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of the channels, or of all


@dataclass(frozen=True)
class Change:
    """A change of images in [0, 1] before a network: `(x - mean) / std`, and then `x std + mean` of other constants.

    The first makes what the network itself expects; the second undoes a normalisation on the way there.

    Attributes:
        done: What it does to the images, after "if".
        mistake: What is wrong with the network if it is more accurate then.
        reverse: Whether to reverse the order of the channels first.
        apply: Mean and standard deviation to normalise by.
        undo: Mean and standard deviation of a normalisation to undo.
        by_data: Whether the mean and standard deviation of the images themselves take the place of the given ones.
    """

    done: str
    mistake: str
    reverse: bool = False
    apply: Constants | None = None
    undo: Constants | None = None
    by_data: bool = False

    def fits(self, channels: int) -> bool:
        """Return whether images of so many channels can be changed in this way."""
        constants = {self.apply, self.undo} - {None}
        of_colours = self.reverse or CIFAR10 in constants
        return channels == COLOURS or not (of_colours or (channels > 1 and constants & {IMAGENET}))

    def __call__(self, images: Tensor) -> Tensor:
        """Return the changed images [n, c, h, w]. Constants of three channels are averaged for a single one."""
        changed = images
        if self.reverse:
            changed = changed.flip(1)
        if self.apply is not None:
            mean, std = self._constants(self.apply, images)
            changed = (changed - mean) / std
        if self.undo is not None:
            mean, std = self._constants(self.undo, images)
            changed = changed * std + mean
        return changed

    def _constants(self, given: Constants, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.by_data:
            pixels = images.transpose(0, 1).flatten(1)
            return pixels.mean(1).view(-1, 1, 1), pixels.std(1).clamp(min=1e-6).view(-1, 1, 1)
        mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in given)
        return (mean, std) if images.shape[1] == COLOURS else (mean.mean(), std.mean())


NOT_NORMALISED = "the network expects normalised images, and nothing normalises them"
TWICE = "the images are normalised twice, or must not be normalised"
# The likely ones first, because the first of several equally good ones is named.
CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "levels": Change("images are multiplied by 255", "the network expects [0, 255]", apply=LEVELS),
        "half": Change("images are scaled to [-1, 1]", "the network expects [-1, 1]", apply=HALF),
        "imagenet": Change("images are normalised by ImageNet's constants", NOT_NORMALISED, apply=IMAGENET),
        "cifar10": Change("images are normalised by CIFAR-10's constants", NOT_NORMALISED, apply=CIFAR10),
        "data": Change("images are normalised by their own mean", NOT_NORMALISED, apply=HALF, by_data=True),
        "imagenet_twice": Change("ImageNet's normalisation is undone before the network", TWICE, undo=IMAGENET),
        "cifar10_twice": Change("CIFAR-10's normalisation is undone before the network", TWICE, undo=CIFAR10),
        "half_twice": Change("images are scaled from [-1, 1] to [0, 1]", TWICE, undo=HALF),
        "data_twice": Change("a normalisation by the images' own mean is undone", TWICE, undo=HALF, by_data=True),
        "bgr": Change("the channels are reversed", "the network expects BGR", reverse=True),
        "bgr_levels": Change(
            "the channels are reversed and multiplied by 255", "the network expects BGR in [0, 255]",
            reverse=True, apply=LEVELS,
        ),
        "caffe": Change(
            "images are BGR in [0, 255] less the mean, as for Caffe", "the network expects this", reverse=True,
            apply=CAFFE,
        ),
        "levels_not_imagenet": Change(
            "images are multiplied by 255 and ImageNet's normalisation is undone",
            "the network expects [0, 255], not normalised", undo=IMAGENET, apply=LEVELS,
        ),
        "half_not_imagenet": Change(
            "images are scaled to [-1, 1] and ImageNet's normalisation is undone",
            "the network expects [-1, 1]", undo=IMAGENET, apply=HALF,
        ),
    }
)  # fmt: skip


def predictions_if_changed(network: Model, images: Tensor) -> Mapping[str, Tensor]:
    """Return the classes that a network predicts for images as they are and under each change that fits them.

    Args:
        network: The network.
        images: Images [n, c, h, w] in [0, 1].

    Returns:
        Classes, int64 [n], by the name of the change; -1 where the network raised an exception.
    """
    changes = {name: change for name, change in CHANGES.items() if change.fits(images.shape[1])}
    found = {AS_IT_IS: batched_forward(network, images).argmax(1)}
    for name, change in changes.items():
        try:
            found[name] = batched_forward(network, change(images)).argmax(1)
        except Exception:  # networks may refuse images outside [0, 1]
            found[name] = torch.full_like(found[AS_IT_IS], -1)
    return found
