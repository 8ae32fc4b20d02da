"""Small plugins for tests: a network, random images, and attacks that each break their contract in one way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe, Budget, DataRecipe, Examples, Model, ModelRecipe, Streams

SHAPE = (1, 4, 4)
CLASSES = 3


def toy_network(seed: int = 0, shape: Sequence[int] = SHAPE) -> nn.Module:
    """Build a small network with batch normalisation and a ReLU, with weights from the seed."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(shape[0], 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * shape[1] * shape[2], CLASSES),
    )  # fmt: skip
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
    return network.eval().requires_grad_(False)


class ToyImages:
    shape = SHAPE

    def __init__(self, count: int = 20) -> None:
        pixels = np.random.default_rng(0).random((count, *SHAPE))
        self.pixels = pixels.astype(np.float32)
        self.labels: Sequence[int] = [i % CLASSES for i in range(count)]
        self.ids: Sequence[str] = [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pixels[list(indices)]


Behaviour = Callable[[Model, Examples, Budget], Tensor | None]


@dataclass(frozen=True)
class Misbehaving:
    """An attack that does one thing wrong."""

    budget: Budget
    behaviour: Behaviour

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Any]:
        yield self.behaviour(model, examples, self.budget)


def _raise(*_: Any) -> None:
    raise ValueError("on purpose\nwith a second line")


def _change_weights(model: Model, examples: Examples, _budget: Budget) -> Tensor:
    next(model.parameters()).data.mul_(2)
    return examples.images.clone()


def _change_buffer(model: Model, examples: Examples, _budget: Budget) -> Tensor:
    next(model.buffers()).mul_(2).add_(1)
    return examples.images.clone()


def _change_mode(model: Model, examples: Examples, _budget: Budget) -> Tensor:
    next(model.children()).train()
    return examples.images.clone()


def _leave_hook(model: Model, examples: Examples, _budget: Budget) -> Tensor:
    next(model.children()).register_forward_hook(lambda *_: None)
    return examples.images.clone()


def _want_gradients(model: Model, examples: Examples, _budget: Budget) -> Tensor:
    model.requires_grad_(True)
    return examples.images.clone()


def _replace_forward(model: Model, examples: Examples, _budget: Budget) -> Tensor:
    child = next(model.children())
    child.forward = child.forward
    return examples.images.clone()


def _draw_globally(_model: Model, examples: Examples, _budget: Budget) -> Tensor:
    return examples.images + 0 * torch.rand(1)


def _change_threads(_model: Model, examples: Examples, _budget: Budget) -> Tensor:
    torch.set_num_threads(torch.get_num_threads() + 1)
    return examples.images.clone()


def _change_inputs(_model: Model, examples: Examples, _budget: Budget) -> Tensor:
    examples.images.mul_(0.99)
    return examples.images.clone()


MISBEHAVIOURS: Mapping[str, tuple[Behaviour, str]] = {
    "nan": (lambda _m, e, _b: e.images * float("nan"), "NaN or infinity"),
    "infinite": (lambda _m, e, _b: e.images + float("inf"), "NaN or infinity"),
    "outside_ball": (lambda _m, e, b: (e.images + 1.01 * b.eps).clamp(0, 1), "outside the linf ball"),
    "outside_box": (lambda _m, e, b: e.images + b.eps, "outside [0, 1]"),
    "shape": (lambda _m, e, _b: e.images[:-1], "shape of the images changed"),
    "dtype": (lambda _m, e, _b: e.images.double(), "dtype of the images changed"),
    "order": (lambda _m, e, _b: e.images.flip(0), "outside the linf ball"),
    "no_tensor": (lambda _m, e, _b: e.images.numpy(), "not a tensor"),
    "nothing": (lambda _m, _e, _b: None, "no images"),
    "raises": (_raise, "ValueError: on purpose"),
    "weights": (_change_weights, "parameters or buffers"),
    "buffer": (_change_buffer, "parameters or buffers"),
    "mode": (_change_mode, "the model's mode"),
    "hook": (_leave_hook, "the model's hooks"),
    "requires_grad": (_want_gradients, "the model's requires_grad"),
    "forward": (_replace_forward, "the model's forward method"),
    "global_random": (_draw_globally, "torch's global random state"),
    "threads": (_change_threads, "number of threads"),
    "inputs": (_change_inputs, "in place"),
    "exits": (lambda *_: os._exit(7), "exit code 7"),
}


class ToyPlugin:
    """Offers the toys; `built` counts the models that were built."""

    def __init__(self) -> None:
        self.built = 0

    @hookimpl
    def bench_models(self) -> Mapping[str, ModelRecipe]:
        def build(seed: int = 0) -> Model:
            self.built += 1
            return toy_network(seed)

        return {"toy": ModelRecipe(build, lambda seed: {"seed": seed}, "a toy")}

    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"toy_images": DataRecipe(ToyImages, "random images")}

    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def recipe(behaviour: Behaviour) -> AttackRecipe:
            def build(budget: Budget) -> Misbehaving:
                return Misbehaving(budget, behaviour)

            return AttackRecipe(build, "misbehaves")

        return {f"bad_{name}": recipe(behaviour) for name, (behaviour, _) in MISBEHAVIOURS.items()}
