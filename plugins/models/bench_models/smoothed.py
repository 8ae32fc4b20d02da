"""Randomized smoothing: a network averaged over Gaussian noise (Cohen et al., 2019; Salman et al., 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench_core.batches import batched_forward

INPUTS_AT_ONCE = 256


class Smoothed(nn.Module):
    """`g(x) = E_e[f(x + sigma e)]`, e standard normal, estimated from `n` samples.

    It maps images [b, c, h, w] to logits [b, classes].

    The noise samples are the same for every image and every call. So the logits for an image depend neither on the
    batch nor on earlier calls. The metric that certifies a radius draws other samples.

    Args:
        base: The network f.
        sigma: Standard deviation of the noise, in units of the image range.
        n: Number of noise samples.
        form: With "soft", f is the softmax, and the logits are the logarithm of its mean (arXiv:1906.04584, eq. 6),
            which has a gradient. With "votes", f is the predicted class (arXiv:1902.02918, eq. 1), and the logits are
            the logarithm of the share of votes with add-one smoothing, which is finite for a class without votes.
            Votes have no gradient.
        seed: Seed of the noise samples.
    """

    def __init__(self, base: nn.Module, sigma: float, n: int, form: Literal["soft", "votes"], seed: int) -> None:
        super().__init__()
        self.base, self.sigma, self.n, self.form, self.seed = base, sigma, n, form, seed
        self.samples = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits. Raises RuntimeError if a gradient of votes is requested."""
        if self.form == "votes":
            if torch.is_grad_enabled() and images.requires_grad:
                raise RuntimeError('votes have no gradient (try a model with form = "soft")')
            counts = self.votes(images)
            return ((counts + 1) / (self.n + counts.shape[-1])).log().to(images)
        return torch.cat([logits.log_softmax(-1) for logits in self.noisy_logits(images)]).logsumexp(0) - math.log(
            self.n
        )

    def votes(self, images: Tensor) -> Tensor:
        """Count for how many noise samples each class is predicted, int64 [b, classes]."""
        counts = [
            functional.one_hot(logits.argmax(-1), logits.shape[-1]).sum(0) for logits in self.noisy_logits(images)
        ]
        return torch.stack(counts).sum(0)

    def noisy_logits(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the base network's logits under the noise samples, in chunks [samples, b, classes]."""
        for noise in self.noise(images).split(max(1, INPUTS_AT_ONCE // max(1, len(images)))):
            noisy = images + self.sigma * noise[:, None]
            inputs = noisy.flatten(0, 1)
            differentiable = torch.is_grad_enabled() and images.requires_grad  # batched_forward is for passes without
            logits = self.base(inputs) if differentiable else batched_forward(self.base, inputs)
            yield logits.unflatten(0, noisy.shape[:2])

    def noise(self, images: Tensor) -> Tensor:
        """Return the noise samples, standard normal [n, c, h, w], drawn on the CPU so that all devices use the same."""
        cached = self.samples
        if (cached.shape[1:], cached.device, cached.dtype) != (images.shape[1:], images.device, images.dtype):
            generator = torch.Generator().manual_seed(self.seed)
            self.samples = torch.randn(self.n, *images.shape[1:], generator=generator).to(images)
        return self.samples
