"""Networks as people have them, each wrong in one way, around the toy network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench_core.hookspecs import hookimpl
from bench_core.types import ModelRecipe
from tests.toys import toy_network

Forward = Callable[[nn.Module, Tensor], Any]


def normalised_in_place(inner: nn.Module, images: Tensor) -> Tensor:
    return inner(images.sub_(0.5).div_(0.25))


def normalised_in_data(inner: nn.Module, images: Tensor) -> Tensor:
    images.data.sub_(0.5)
    return inner(images)


def normalised_in_numpy(inner: nn.Module, images: Tensor) -> Tensor:
    images.detach().numpy()[:] -= 0.5
    return inner(images)


def root_of_black(inner: nn.Module, images: Tensor) -> Tensor:
    return inner((images * (images > 0.5)).sqrt())  # dark is black, where the gradient is 0 * infinity


def attacked(images: Tensor) -> Tensor:
    """Return which images have a white pixel, as only attacked images have."""
    return images.flatten(1).amax(1, keepdim=True) >= 1


def nan_when_attacked(inner: nn.Module, images: Tensor) -> Tensor:
    return inner(images).where(~attacked(images), torch.nan)


def raising_when_attacked(inner: nn.Module, images: Tensor) -> Tensor:
    if attacked(images).any():
        raise TypeError("not these images")
    return inner(images)


def tuple_when_attacked(inner: nn.Module, images: Tensor) -> Any:
    return (inner(images), images) if attacked(images).any() else inner(images)


def batch_statistics(inner: nn.Module, images: Tensor) -> Tensor:
    return inner(functional.batch_norm(images, None, None, training=True))


def running_statistics(inner: nn.Module, images: Tensor) -> Tensor:
    return inner.train()(images)


def in_autocast(inner: nn.Module, images: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return inner(images)


WRONG: Mapping[str, Forward] = {
    "normalised_in_place": normalised_in_place,
    "normalised_in_data": normalised_in_data,
    "normalised_in_numpy": normalised_in_numpy,
    "root_of_black": root_of_black,
    "nan_when_attacked": nan_when_attacked,
    "raising_when_attacked": raising_when_attacked,
    "tuple_when_attacked": tuple_when_attacked,
    "batch_statistics": batch_statistics,
    "running_statistics": running_statistics,
    "in_autocast": in_autocast,
    "float16": lambda inner, images: inner(images).half(),
    "bfloat16": lambda inner, images: inner(images).bfloat16(),
    "float64": lambda inner, images: inner(images).double(),
    "tuple": lambda inner, images: (inner(images),),
    "dict": lambda inner, images: {"logits": inner(images)},
    "nothing": lambda inner, images: None,
    "classes": lambda inner, images: inner(images).argmax(1),
    "right": lambda inner, images: inner(images),
    "normalised": lambda inner, images: inner((images - 0.5) / 0.25),
    "shifted": lambda inner, images: inner(images - 0.5),
    "flat": lambda inner, images: inner(images)[:, 0],
}


class Wrong(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.how = toy_network(3), how

    def forward(self, images: Tensor) -> Any:
        return WRONG[self.how](self.inner, images)


class WrongNetworks:
    """Offers the model `wrong`, whose option `how` is a key of WRONG."""

    @hookimpl
    def bench_models(self) -> Mapping[str, ModelRecipe]:
        return {"wrong": ModelRecipe(Wrong, lambda how: {"how": how}, "a network that is wrong in one way")}
