"""What plugins are asked with: small networks of any side, images at the border, random streams."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..types import Budget, Examples, Norm
from ..worker.streams import ImageStreams

CLASSES = 10
SHAPES: dict[int, list[tuple[int, int, int]]] = {
    channels: [(channels, side, side) for side in (12, 16, 28, 32, 224)] for channels in (1, 3)
}
ALL_SHAPES = [*SHAPES[1], *SHAPES[3], (3, 96, 1)]  # the last is a cloud of 96 points
ODD_SHAPES = [(3, 15, 9), (1, 9, 15), (3, 21, 35), (1, 11, 13)]


class Block(nn.Module):
    """A residual block, `activation(x + branch(x))`."""

    def __init__(self, branch: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.branch, self.activation = branch, activation

    def forward(self, features: Tensor) -> Tensor:
        activated: Tensor = self.activation(features + self.branch(features))
        return activated


class Asleep(nn.Module):
    """A network with the right logits, whose gradient is exactly zero until it is `awake`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.awake = inner, False
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        return logits if self.awake or not logits.requires_grad else logits.detach() + 0 * logits


class Failing(nn.Module):
    """A network that fails at one of its calls."""

    def __init__(self, inner: nn.Module, at: int) -> None:
        super().__init__()
        self.inner, self.at, self.calls = inner, at, 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        self.calls += 1
        if self.calls == self.at:
            raise RuntimeError("the network fails, on purpose")
        return logits


class Recording(nn.Module):
    """A network that remembers its calls and every image that it was asked about."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.calls = inner, 0
        self.asked: list[bytes] = []
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        self.asked += [hashlib.sha256(each.detach().cpu().numpy().tobytes()).digest() for each in images]
        logits: Tensor = self.inner(images)
        return logits


def network(channels: int = 1, seed: int = 0, inplace: bool = False, shift: int = 0) -> nn.Module:
    """A residual network for images of any side, with random weights, frozen.

    It is smooth, so that no gradient is a rounding error around zero, whose sign says nothing; `inplace` has ReLUs that
    overwrite the features instead, each used twice. `shift` gives the modules other names.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        activation: nn.Module = nn.ReLU(inplace=True) if inplace else nn.Softplus()
        branches = [
            nn.Sequential(
                nn.Conv2d(6, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                activation,
                nn.Conv2d(6, 6, 1),
                *[activation] * inplace,
            )
            for _ in range(2)
        ]
        made = nn.Sequential(
            *[nn.Identity() for _ in range(shift)],
            *(nn.Conv2d(channels, 6, 3, padding=1), nn.Softplus()),
            *(Block(branch, activation) for branch in branches),
            *(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, CLASSES)),
        )
        made.get_parameter(f"{len(made) - 1}.weight").data.mul_(
            20
        )  # so that losses are of the size they have on trained networks
    made.eval().requires_grad_(False)
    made.get_parameter(f"{len(made) - 1}.bias").sub_(made(torch.full((1, channels, 8, 8), 0.5))[0])  # all classes occur
    return made


def examples(
    model: nn.Module, shape: Sequence[int], count: int = 4, targeted: bool = False, dtype: Any = torch.float32
) -> Examples:
    """Images of 256 grey levels that `model` classifies as they are labelled; the first two are black and white."""
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(max(count, 4), *shape, generator=generator) * 255).round() / 255
    images[0], images[1] = 0, 1
    images = images[:count] if count > 1 else images[2:3]
    ids = tuple(hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images)
    with torch.no_grad():
        labels = model.to(dtype)(images.to(dtype)).argmax(1)
    return Examples(images.to(dtype), labels, ids, (labels + 1) % CLASSES if targeted else None)


def streams(given: Examples, seed: int = 0) -> ImageStreams:
    """The random streams of a batch, as a worker hands them to an attack or a metric."""
    return ImageStreams(seed, given.ids)


def budget(norm: Norm, **changes: Any) -> Budget:
    """A budget in which three steps do not reach the border of the ball."""
    size = (16 / 255, 5 / 255) if norm == "linf" else (1.0, 0.3)
    return Budget(**{"norm": norm, "eps": size[0], "step_size": size[1], "steps": 3, **changes})


def told(given: Examples, limits: Budget | None = None, seed: int = 0, extra: str = "") -> str:
    """Say an input in words."""
    count, *shape = given.images.shape
    words = [f"{count} image{'s' * (count != 1)} {'x'.join(map(str, shape))} {str(given.images.dtype).split('.')[-1]}"]
    if limits:
        words += [f"{limits.norm} eps {limits.eps:.4g} step {limits.step_size:.4g} steps {limits.steps}"]
        words += [name.replace("_", " ") for name in ("random_start", "targeted") if getattr(limits, name)]
    return ", ".join([*words, f"seed {seed}", *filter(None, [extra])])
