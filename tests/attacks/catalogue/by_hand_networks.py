"""A small residual network whose layers a transcription calls one by one."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.models.resnet import BasicBlock

from ..scene import CLASSES

SHAPE = (1, 8, 8)


class Block(nn.Module):
    """`relu(x + branch(x))`, with the attributes that mark a residual block."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 1))
        self.branch, self.shortcut = nn.Sequential(*layers), nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return (self.shortcut(features) + self.branch(features)).relu_()


class Residual(nn.Module):
    """Convolution, ReLU and overlapping max pooling, a residual block, one of torchvision's, and a linear layer."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.first, self.pool = nn.Conv2d(1, 6, 3, stride, padding=1), nn.MaxPool2d(3, 2, 1)
        self.block1, self.block2 = Block(), BasicBlock(6, 6)
        self.last = nn.Linear(54, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.block2(self.block1(self.pool(relu(self.first(images)))))
        return self.head(features)

    def head(self, features: Tensor) -> Tensor:
        """Return the logits from the last block's features."""
        logits: Tensor = self.last(nn.functional.adaptive_avg_pool2d(features, 3).flatten(1))
        return logits


def residual(seed: int = 0, stride: int = 1) -> Residual:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Residual(stride)
    model.last.weight.data *= 20
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data += 0.1
    return model.double().eval().requires_grad_(False)
