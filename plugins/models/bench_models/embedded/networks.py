"""Architectures of the embedded networks: one small network of each family that the papers attack.

Every network takes images [n, 1, 28, 28] in [0, 1], normalises them and returns logits [n, 10]. Residual networks are
built from `Residual` and dense ones from `DenseLayer`, so that the skip-gradient attack finds their branches by
structure, not by name. The weights files contain the names of the modules' attributes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

CLASSES = 10
MEAN, STD = 0.2860, 0.3530  # of the pixels of the 60,000 Fashion-MNIST training images


class Normalise(nn.Module):
    """Normalise images in [0, 1], so that the training set has zero mean and unit standard deviation."""

    def forward(self, images: Tensor) -> Tensor:
        return (images - MEAN) / STD


class Residual(nn.Module):
    """`relu(shortcut(x) + branch(x))` (He et al., 2016). The shortcut is by default the identity."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.activation: nn.Module = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        total: Tensor = self.branch(features)
        total += self.shortcut(features)
        out: Tensor = self.activation(total)
        return out


class DenseLayer(nn.Module):
    """`concatenate(x, branch(x))` (Huang et al., 2017)."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.branch(features)], dim=1)


class SqueezeExcite(nn.Module):
    """Channel attention from globally pooled features (Hu et al., 2018)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = features * self.gate(features)
        return out


class Branches(nn.Module):
    """Parallel branches on one input, concatenated over channels (Szegedy et al., 2015)."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([branch(features) for branch in self.branches], dim=1)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, relu: bool = True) -> nn.Module:
    """Build a convolution with batch normalisation and ReLU, padded to keep the size at stride 1.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        kernel: Side of the kernel, odd.
        stride: Stride of the convolution.
        groups: Number of groups of channels; `inputs` makes a depthwise convolution.
        relu: Append a ReLU; a convolution before a residual sum has none.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def stem(outputs: int) -> nn.Module:
    """Build the first layers: normalisation, a convolution, and max pooling to 14 x 14."""
    return nn.Sequential(Normalise(), conv(1, outputs), nn.MaxPool2d(2))


def head(features: int) -> nn.Module:
    """Build the classifier: global average pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, CLASSES))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """Build a 1 x 1 convolution where a residual block changes the shape of its features, and None elsewhere."""
    return None if inputs == outputs and stride == 1 else conv(inputs, outputs, 1, stride, relu=False)


def basic_block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Build a residual block of two 3 x 3 convolutions."""
    branch = nn.Sequential(conv(inputs, outputs, 3, stride), conv(outputs, outputs, relu=False))
    return Residual(branch, shortcut(inputs, outputs, stride))


def bottleneck(inputs: int, middle: int, outputs: int, stride: int = 1, excite: bool = False) -> nn.Module:
    """Build a residual block of 1 x 1, 3 x 3 and 1 x 1 convolutions, with `middle` channels between them.

    Args:
        inputs: Number of input channels.
        middle: Number of channels of the 3 x 3 convolution.
        outputs: Number of output channels.
        stride: Stride of the 3 x 3 convolution.
        excite: Append squeeze and excitation to the branch.
    """
    branch = nn.Sequential(
        conv(inputs, middle, 1), conv(middle, middle, 3, stride), conv(middle, outputs, 1, relu=False)
    )
    if excite:
        branch.append(SqueezeExcite(outputs))
    return Residual(branch, shortcut(inputs, outputs, stride))


def alexnet() -> nn.Module:
    """Few layers, a large first kernel, a fully connected head, no batch normalisation."""
    return nn.Sequential(
        Normalise(),
        # one stage per line
        *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(48, 64, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Dropout(0.3), nn.Linear(576, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, CLASSES)),
    )


def vgg() -> nn.Module:
    """A plain stack of 3 x 3 convolutions."""
    pool = nn.MaxPool2d(2)
    return nn.Sequential(stem(32), conv(32, 32), conv(32, 48), pool, conv(48, 64), conv(64, 96), head(96))


def resnet_s() -> nn.Module:
    """Basic residual blocks, 8 layers."""
    return nn.Sequential(stem(32), basic_block(32, 32), basic_block(32, 64, 2), basic_block(64, 64), head(64))


def resnet_l() -> nn.Module:
    """Bottleneck residual blocks, 26 layers."""
    early = [bottleneck(32, 16, 64), *(bottleneck(64, 16, 64) for _ in range(3))]
    late = [bottleneck(64, 32, 128, 2), *(bottleneck(128, 32, 128) for _ in range(3))]
    return nn.Sequential(stem(32), *early, *late, head(128))


def dense_layer(inputs: int, growth: int, middle: int | None = None) -> nn.Module:
    """Build a dense layer with its activations before its convolutions.

    Args:
        inputs: Number of input channels.
        growth: Number of channels that the layer appends.
        middle: Number of channels of a 1 x 1 bottleneck before the 3 x 3 convolution; by default there is none.
    """

    def preactivated(channels: int, outputs: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False)
        return [nn.BatchNorm2d(channels), nn.ReLU(), convolution]

    if middle is None:
        return DenseLayer(nn.Sequential(*preactivated(inputs, growth, 3)))
    return DenseLayer(nn.Sequential(*preactivated(inputs, middle, 1), *preactivated(middle, growth, 3)))


def densenet(layers: tuple[int, int], middle: int | None) -> nn.Module:
    """Build two dense blocks with these numbers of layers; `middle` is the bottleneck of `dense_layer`."""
    channels, growth = 32, 16
    modules: list[nn.Module] = [stem(channels)]
    for block, count in enumerate(layers):
        if block:
            modules += [conv(channels, 64, 1), nn.AvgPool2d(2)]
            channels = 64
        for _ in range(count):
            modules.append(dense_layer(channels, growth, middle))
            channels += growth
    return nn.Sequential(*modules, nn.BatchNorm2d(channels), nn.ReLU(), head(channels))


def densenet_s() -> nn.Module:
    """Plain dense layers, 9 layers deep."""
    return densenet((3, 4), None)


def densenet_l() -> nn.Module:
    """Dense layers with bottlenecks, 28 layers deep."""
    return densenet((5, 8), 16)


def senet() -> nn.Module:
    """Bottleneck residual blocks with squeeze and excitation."""
    early = [bottleneck(32, 16, 64, excite=True), bottleneck(64, 16, 64, excite=True)]
    late = [bottleneck(64, 48, 128, 2, excite=True), *(bottleneck(128, 48, 128, excite=True) for _ in range(2))]
    return nn.Sequential(stem(32), *early, *late, head(128))


def inception_module(inputs: int, width: int) -> Branches:
    """Build four parallel branches of `width` output channels each."""
    return Branches(
        conv(inputs, width, 1),
        nn.Sequential(conv(inputs, width, 1), conv(width, width)),
        nn.Sequential(conv(inputs, width, 1), conv(width, width), conv(width, width)),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(inputs, width, 1)),
    )


def inception() -> nn.Module:
    """Parallel branches of different receptive fields."""
    return nn.Sequential(
        stem(32),
        inception_module(32, 16),
        inception_module(64, 16),
        nn.MaxPool2d(2),
        inception_module(64, 32),
        inception_module(128, 32),
        head(128),
    )


def inception_residual() -> nn.Module:
    """Inception branches inside residual blocks."""

    def block(channels: int, width: int) -> nn.Module:
        branch = Branches(
            conv(channels, width, 1),
            nn.Sequential(conv(channels, width, 1), conv(width, width), conv(width, width)),
        )
        return Residual(nn.Sequential(branch, conv(2 * width, channels, 1, relu=False)))

    late = [block(128, 32) for _ in range(3)]
    return nn.Sequential(stem(32), conv(32, 64, 1), block(64, 16), block(64, 16), conv(64, 128, 3, 2), *late, head(128))


def mobilenet() -> nn.Module:
    """Inverted residual blocks with depthwise convolutions (Sandler et al., 2018), linear bottlenecks."""

    def inverted(inputs: int, outputs: int, stride: int = 1, expansion: int = 3) -> nn.Module:
        middle = inputs * expansion
        branch = nn.Sequential(
            conv(inputs, middle, 1), conv(middle, middle, 3, stride, middle), conv(middle, outputs, 1, relu=False)
        )
        if inputs != outputs or stride != 1:
            return branch
        block = Residual(branch)
        block.activation = nn.Identity()
        return block

    return nn.Sequential(
        stem(32), inverted(32, 32), inverted(32, 64, 2), inverted(64, 64), inverted(64, 64), conv(64, 192, 1), head(192)
    )


CONVOLUTIONAL: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "AlexNet": alexnet,
        "VGG": vgg,
        "ResNet-S": resnet_s,
        "ResNet-L": resnet_l,
        "DenseNet-S": densenet_s,
        "DenseNet-L": densenet_l,
        "SENet": senet,
        "Inception": inception,
        "IncResNet": inception_residual,
        "MobileNet": mobilenet,
    }
)
