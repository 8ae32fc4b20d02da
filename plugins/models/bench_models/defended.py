"""A network that classifies transformed images: as its defender publishes it, or as an adaptive attacker sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

# What an attacker differentiates. "layer": the transformation is a layer of the network, and always has its gradient.
# "exact": it is computed before the network, and an adaptive attacker differentiates it. "identity": it has no gradient
# of use, and an adaptive attacker takes that of the identity (BPDA; Athalye et al., 2018; arXiv:1802.00420, sec. 4.1).
Gradient = Literal["layer", "exact", "identity"]


class Draws:
    """The random numbers of one draw of a defence. Every image has its own, so that none depends on the batch.

    Tensors are float32 on the CPU, with the images of the batch along the first dimension.

    Args:
        keys: What determines the numbers of each image.
        purpose: What they are drawn for. Other purposes have other numbers.
    """

    def __init__(self, keys: Sequence[bytes], purpose: str) -> None:
        self.generators = [torch.Generator().manual_seed(_seed(key, purpose)) for key in keys]

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers [n, *shape]."""
        return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in self.generators])

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers in [0, 1), [n, *shape]."""
        return torch.stack([torch.rand(tuple(shape), generator=generator) for generator in self.generators])


def _seed(key: bytes, purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(key + purpose.encode(), digest_size=7).digest(), "big")


def image_keys(images: Tensor) -> list[bytes]:
    """Return a digest of the pixels of each of the images [n, ...]."""
    pixels = (images.detach().float() + 0.0).cpu().contiguous().numpy()  # adding makes -0 and 0 the same
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]


class Transformation(Protocol):
    """Transforms images [n, c, h, w] in [0, 1]; a random one takes its numbers from `draws` alone.

    Attributes:
        gradient: What an attacker differentiates.
        random: Whether it uses `draws`.
    """

    @property
    def gradient(self) -> Gradient: ...
    @property
    def random(self) -> bool: ...

    def __call__(self, images: Tensor, draws: Draws) -> Tensor: ...


class Defended(nn.Module):
    """`f(t(x))`: a network f on images transformed by t. It maps images [b, c, h, w] to logits [b, classes].

    Every image decides its own draw of a random t: equal pixels have equal draws, whatever the batch, and other pixels
    have independent ones. So a repeated call returns the same logits, and every step of an attack meets a new draw.

    An adaptive attacker's logits are the mean of `f(t_i(x))` over `samples` draws t_i, so their gradient is the mean of
    the gradients (EoT; Athalye et al., 2018; arXiv:1707.07397). The draws are not those that the defender makes for
    the same image. Without `adaptive`, a transformation that is no layer of the network has a gradient of zero.

    Args:
        base: The network f.
        transform: The transformation t.
        adaptive: Whether to return the logits and gradients of an adaptive attacker.
        samples: Number of draws of an adaptive attacker; 1 for a transformation that is not random.
        seed: Seed of all draws.
    """

    def __init__(
        self, base: nn.Module, transform: Transformation, adaptive: bool = False, samples: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        self.base, self.transform = base, transform
        self.adaptive, self.samples, self.seed = adaptive, samples, seed
        self.one_draw = transform.random and not adaptive  # read by the host, which cannot see it from repeated calls

    def forward(self, images: Tensor) -> Tensor:
        logits = [self.base(self.transformed(images, draws)) for draws in self.draws(images)]
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(0)

    def draws(self, images: Tensor) -> list[Draws]:
        """Return the draws for images: one of the defender, or `samples` of an adaptive attacker."""
        keys = image_keys(images) if self.transform.random else []
        role = "attacker" if self.adaptive else "defender"
        return [Draws(keys, f"{role}/{self.seed}/{sample}") for sample in range(self.samples)]

    def transformed(self, images: Tensor, draws: Draws) -> Tensor:
        """Return the transformed images, with the gradient that an attacker takes."""
        gradient = self.transform.gradient
        if gradient == "layer" or (gradient == "exact" and self.adaptive):
            return self.transform(images, draws)
        with torch.no_grad():
            computed = self.transform(images.detach(), draws)
        nothing = images - images.detach()  # zero, with the gradient of the identity
        return computed + nothing * float(self.adaptive)
