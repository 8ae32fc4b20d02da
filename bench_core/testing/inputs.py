"""The inputs of the rules: small networks, images with pixels at the border of [0, 1], budgets, random streams."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..types import Attack, Budget, Examples, Norm
from ..worker.streams import ImageStreams

CLASSES = 10
SHAPES: dict[int, list[tuple[int, int, int]]] = {
    channels: [(channels, side, side) for side in (12, 16, 28, 32, 224)] for channels in (1, 3)
}
ALL_SHAPES = [*SHAPES[1], *SHAPES[3], (3, 96, 1)]  # the last is a cloud of 96 points
SIZES: dict[Norm, tuple[float, float]] = {  # eps and step size
    "linf": (16 / 255, 5 / 255), "l2": (1.0, 0.3), "l1": (3.0, 0.9), "l0": (20, 0.03),
}  # fmt: skip
ODD_SHAPES = [(3, 15, 9), (1, 9, 15), (3, 21, 35), (1, 11, 13)]


class Block(nn.Module):
    """A residual block, `activation(x + branch(x))`."""

    def __init__(self, branch: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.branch, self.activation = branch, activation

    def forward(self, features: Tensor) -> Tensor:
        activated: Tensor = self.activation(features + self.branch(features))
        return activated


class Seen:
    """What a network has seen: the number of its calls, and the digests of their images.

    A copy of the network shares it, because an attack may copy the network and attack the copy.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.inputs: list[bytes] = []

    def __deepcopy__(self, _memo: Any) -> Seen:
        return self


class Watched(nn.Module):
    """A network that counts its calls."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.seen = inner, Seen()
        self.eval()

    @property
    def calls(self) -> int:
        """The number of calls so far, of the network and its copies."""
        return self.seen.calls

    @property
    def surrogate(self) -> nn.Module:
        """The surrogate that the inner network may have."""
        surrogate = self.inner.surrogate
        assert isinstance(surrogate, nn.Module)
        return surrogate


class ZeroGradient(Watched):
    """A network with the logits of `inner`, whose gradient is exactly zero in the first calls that need a gradient.

    Attributes:
        zeros: The number of calls with a gradient of zero. Only calls that need a gradient are counted.
    """

    def __init__(self, inner: nn.Module, zeros: float) -> None:
        super().__init__(inner)
        self.zeros = zeros

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        if not logits.requires_grad:
            return logits
        self.seen.calls += 1
        return logits if self.calls > self.zeros else logits.detach() + 0 * logits


class Failing(Watched):
    """A network that raises at call number `at`."""

    def __init__(self, inner: nn.Module, at: int) -> None:
        super().__init__(inner)
        self.at = at

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        self.seen.calls += 1
        if self.calls == self.at:
            raise RuntimeError("the network fails, on purpose")
        return logits


class Recording(Watched):
    """A network that records its calls and the digest of every input image."""

    @property
    def inputs(self) -> list[bytes]:
        """The digests of all images so far."""
        return self.seen.inputs

    def forward(self, images: Tensor) -> Tensor:
        self.seen.calls += 1
        self.seen.inputs += [hashlib.sha256(image.detach().cpu().numpy().tobytes()).digest() for image in images]
        logits: Tensor = self.inner(images)
        return logits


def network(
    channels: int = 1, seed: int = 0, inplace: bool = False, shift: int = 0, channels_last: bool = False,
    classes: int = CLASSES,
) -> nn.Module:  # fmt: skip
    """Build a frozen residual network with random weights, for images of any size.

    It is smooth, so that the sign of a gradient is never decided by rounding.

    Args:
        channels: The number of channels of the images.
        seed: The seed of the weights.
        inplace: Use ReLUs that overwrite the features, each twice, instead of smooth activations.
        shift: The number of identity modules put first, which changes the names of the others.
        channels_last: Use the channels-last memory format, as the networks of most suites do.
        classes: The number of classes.
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
            *(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, classes)),
        )
        made.get_parameter(f"{len(made) - 1}.weight").data.mul_(20)  # losses as large as on trained networks
    made.eval().requires_grad_(False)
    made.get_parameter(f"{len(made) - 1}.bias").sub_(
        made(torch.full((1, channels, 8, 8), 0.5))[0]
    )  # so that all classes occur
    return made.to(memory_format=torch.channels_last) if channels_last else made


def examples(
    model: nn.Module, shape: Sequence[int], count: int = 4, targeted: bool = False, dtype: Any = torch.float32
) -> Examples:
    """Build images of 256 grey levels, labelled as `model` classifies them; the first is black, the second white.

    Args:
        model: The network, images [n, c, h, w] -> logits [n, classes].
        shape: The shape (c, h, w) of an image.
        count: The number of images; a single one is neither black nor white.
        targeted: Whether to add target classes.
        dtype: The dtype of the images and of the model, which is converted in place.
    """
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(max(count, 4), *shape, generator=generator) * 255).round() / 255
    images[0], images[1] = 0, 1
    images = images[:count] if count > 1 else images[2:3]
    ids = tuple(hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images)
    with torch.no_grad():
        logits = model.to(dtype)(images.to(dtype))
    labels = logits.argmax(1)
    return Examples(images.to(dtype), labels, ids, (labels + 1) % logits.shape[1] if targeted else None)


def donors(attack: Attack, given: Examples) -> Examples | None:
    """Build as many donors as an attack declares, of all classes in turn; None if it declares none."""
    count = getattr(attack, "donors", 0)
    if not count:
        return None
    images = torch.rand(count, *given.images.shape[1:], generator=torch.Generator().manual_seed(1))
    labels = torch.arange(count, device=given.labels.device) % CLASSES
    return Examples(images.to(given.images), labels, tuple(f"donor {index}" for index in range(count)))


def streams(given: Examples, seed: int = 0) -> ImageStreams:
    """Return the random streams of a batch, as a worker passes them to an attack or a metric."""
    return ImageStreams(seed, given.ids)


def budget(norm: Norm, **changes: Any) -> Budget:
    """Return a budget whose three steps do not reach the border of the ball. `changes` replace its fields."""
    eps, step_size = SIZES[norm]
    return Budget(**{"norm": norm, "eps": eps, "step_size": step_size, "steps": 3, **changes})


def describe(given: Examples, limits: Budget | None = None, seed: int = 0, extra: str = "") -> str:
    """Return a short description of an input, for messages."""
    count, *shape = given.images.shape
    words = [f"{count} image{'s' * (count != 1)} {'x'.join(map(str, shape))} {str(given.images.dtype).split('.')[-1]}"]
    if limits:
        words += [f"{limits.norm} eps {limits.eps:.4g} step {limits.step_size:.4g} steps {limits.steps}"]
        words += [name.replace("_", " ") for name in ("random_start", "targeted") if getattr(limits, name)]
    return ", ".join([*words, f"seed {seed}", *filter(None, [extra])])
