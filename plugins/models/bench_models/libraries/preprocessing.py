"""Preprocessing as part of the network, differentiable, for images in [0, 1] of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Preprocessed(nn.Module):
    """Resize images [n, c, h, w] in [0, 1] where their size differs from `side`, normalise, classify.

    Args:
        network: Preprocessed images [n, c, side, side] to logits [n, classes].
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        side: Height and width in pixels.
        interpolation: "bilinear" or "bicubic".
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        side: int,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        self.network, self.side, self.interpolation = network, side, interpolation
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.prepared(images))
        return logits

    def prepared(self, images: Tensor) -> Tensor:
        """Return the preprocessed images [n, c, side, side]."""
        if images.shape[-2:] != (self.side, self.side):
            images = functional.interpolate(
                images, (self.side, self.side), mode=self.interpolation, align_corners=False, antialias=True
            )
        return (images - self.mean) / self.std


def preset_of(network: nn.Module) -> dict[str, Any]:
    """Return the arguments of `Preprocessed` from a timm network's own settings."""
    settings: Any = network.pretrained_cfg
    mode = settings["interpolation"] if settings["interpolation"] in ("bilinear", "bicubic") else "bilinear"
    return {
        "mean": settings["mean"],
        "std": settings["std"],
        "side": settings["input_size"][-1],
        "interpolation": mode,
    }


class WithoutFirst(nn.Module):
    """A network without its first `count` outputs, such as the background among TensorFlow's 1,001 classes."""

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__()
        self.network, self.count = network, count
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits[:, self.count :]
