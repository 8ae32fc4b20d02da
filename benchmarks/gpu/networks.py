"""The networks that are timed, with random weights, and small stand-ins for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchvision
from torch import nn

from bench_core.lean import lean
from bench_models.embedded.architectures import ARCHITECTURES

from .timing import Setting

IMAGENET: dict[str, tuple[str, str]] = {  # name -> library, and its name there
    "VGG-16": ("torchvision", "vgg16"),
    "ResNet-34": ("torchvision", "resnet34"),
    "ResNet-152": ("torchvision", "resnet152"),
    "DenseNet-121": ("torchvision", "densenet121"),
    "SENet-154": ("timm", "legacy_senet154"),
    "ViT-B": ("torchvision", "vit_b_16"),
}
EMBEDDED = tuple(ARCHITECTURES)
NAMES = (*IMAGENET, *EMBEDDED)


def network(name: str, setting: Setting, made_lean: bool = True) -> nn.Module:
    """Return a frozen network on the device of the setting, optimised as bench does when it loads one."""
    torch.manual_seed(0)
    made = build(name, setting).eval().requires_grad_(False)
    return (lean(made) if made_lean else made).to(setting.device)


def build(name: str, setting: Setting) -> nn.Module:
    if name in EMBEDDED:
        embedded: nn.Module = ARCHITECTURES[name]()
        return embedded
    if setting.tiny:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(128, 10),
        )  # fmt: skip
    library, own = IMAGENET[name]
    if library == "timm":
        import timm

        return timm.create_model(own, pretrained=False)  # type: ignore[no-any-return]
    make: Callable[..., nn.Module] = getattr(torchvision.models, own)
    return make(weights=None)


def shape_of(name: str, setting: Setting) -> tuple[int, int, int]:
    """Return the shape of a network's images."""
    return (1, 28, 28) if name in EMBEDDED else (3, setting.side, setting.side)
