"""What the attack tests share: small networks in float64, images at the border, recipes with small options."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.messages import Query
from bench_attacks.plugin import RECIPES
from bench_attacks.run_state import RunState
from bench_attacks.step_rng import StepRng
from bench_core.testing.transformer import transformer
from bench_core.types import Attack, Budget, Examples, Norm
from bench_core.worker.streams import ImageStreams
from bench_models.with_surrogate import WithSurrogate

SMALL = {"samples": 3, "copies": 4, "kernel": 5}
CLASSES = 4
NORMS = get_args(Norm)


class Block(nn.Module):
    """A hand-written residual block, `relu(x + branch(x))`."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, features: Tensor) -> Tensor:
        return (features + self.branch(features)).relu()


def network(channels: int = 1, seed: int = 0, classes: int = CLASSES) -> nn.Module:
    """Return a residual network for images of any size, with random weights, in float64, frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 1))
        model = nn.Sequential(
            *(nn.Conv2d(channels, 6, 3, padding=1), nn.Softplus(), Block(branch)),
            *(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, classes)),
        )
    model[-1].weight.data *= 20  # so that losses are as large as on trained networks
    return model.double().eval().requires_grad_(False)


def network_for(attack: Attack, channels: int = 1, seed: int = 0) -> nn.Module:
    """Return `network`, or a vision transformer or a network with a surrogate for an attack that accepts only that."""
    usual, check = network(channels, seed), getattr(attack, "check_source", None)
    if check is None or not check(usual):
        return usual
    beside = WithSurrogate(usual, network(channels, seed + 1)).eval()
    return beside if not check(beside) else transformer(channels, seed).double()


class Asleep(nn.Module):
    """A network whose gradient is exactly zero in its first calls."""

    def __init__(self, inner: nn.Module, calls: int) -> None:
        super().__init__()
        self.inner, self.calls = inner, calls

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        if not logits.requires_grad:
            return logits
        self.calls -= 1
        return logits.detach() + logits * 0 if self.calls >= 0 else logits


def examples(count: int = 4, shape: Sequence[int] = (1, 6, 6), targeted: bool = False, seed: int = 0) -> Examples:
    """Return random images that `network` classifies correctly; the first is black and the second is white."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *shape, generator=generator, dtype=torch.float64)
    images[:2] = torch.tensor([0.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)[:count]
    labels = network(shape[0])(images).argmax(1)
    targets = (labels + 1) % CLASSES if targeted else None
    return Examples(images, labels, tuple(f"image {i}" for i in range(count)), targets)


def streams(given: Examples, seed: int = 0) -> ImageStreams:
    return ImageStreams(seed, given.ids)


def budget(norm: str = "linf", **changes: Any) -> Budget:
    eps, step_size = {"linf": (0.1, 0.03), "l2": (0.9, 0.3), "l1": (4.0, 1.3), "l0": (6, 0.1)}[norm]
    return Budget(**{"norm": norm, "eps": eps, "step_size": step_size, "steps": 3, "loss": "margin", **changes})


def build(name: str, limits: Budget, shape: Sequence[int] = (1, 6, 6), **options: Any) -> Attack:
    """Build an attack by its name, with small numbers for the options that it has."""
    fitting = {
        **(RECIPES[name].examples or [{}])[0],
        **SMALL,
        "grid": (grid := math.gcd(*shape[1:])),
        "cells": max(1, grid**2 // 3),
    }
    parameters = inspect.signature(RECIPES[name].build).parameters
    return RECIPES[name].build(limits, **{k: v for k, v in fitting.items() if k in parameters} | options)


def run_state(given: Examples, step: int = 1, seed: int = 0) -> RunState:
    """Return the state of a run whose gradients were zero so far."""
    zeros, size = torch.zeros_like(given.images), given.images.new_full((len(given.images),), 0.03)
    return RunState(given.images, StepRng(streams(given, seed), step, given.images), size, zeros, zeros)


def gradient(
    attack: Attack, model: nn.Module, given: Examples, images: Tensor, step: int = 1, clean: Tensor | None = None
) -> Tensor:
    """Return the gradient [n, c, h, w] of an attack at `images`; `clean` are clean logits [n, members, classes]."""
    assert isinstance(attack, GradientAttack)
    clean = model(given.images)[:, None] if clean is None else clean
    return attack.evaluation.answer(Query(images[:, None]), model, given, run_state(given, step), clean).gradients[:, 0]


def donors(attack: Attack, given: Examples) -> dict[str, Examples]:
    """Return the argument with as many donors as an attack declares, of all classes in turn."""
    count = getattr(attack, "donors", 0)
    pool = torch.rand(count, *given.images.shape[1:], generator=torch.Generator().manual_seed(9)).to(given.images)
    labels = torch.arange(count) % CLASSES
    return {"donors": Examples(pool, labels, tuple(map(str, range(count))))} if count else {}


def run(attack: Attack, model: nn.Module, given: Examples, seed: int = 0) -> list[Tensor]:
    return list(attack(model, given, streams(given, seed), **donors(attack, given)))


def cases() -> list[tuple[str, str]]:
    """Return every recipe with every norm that it takes."""
    pairs = [
        (name, norm)
        for name in RECIPES
        for norm in NORMS
        if not getattr(build(name, budget(norm)), "check", lambda _shape: None)((1, 6, 6))
    ]
    assert {name for name, _ in pairs} == set(RECIPES)
    return pairs
