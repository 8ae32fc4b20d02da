"""A network under Gaussian noise, as one network (Cohen et al., 2019; Salman et al., 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench_core.batches import answered

INPUTS_AT_ONCE = 256


class Smoothed(nn.Module):
    """`g(x) = E_e[f(x + sigma e)]`, e standard normal, from `n` samples: images [b, c, h, w] to logits [b, classes].

    `soft`: f is the softmax, and the logits are the logarithm of its mean (arXiv:1906.04584, eq. 6), which has a
    gradient. `votes`: f is the class (arXiv:1902.02918, eq. 1), and the logits are the logarithm of the share of votes
    by Laplace's rule, finite also for a class without any; no gradient exists, and to ask for one raises RuntimeError.

    The noise samples are the same for every image and every call. So the network is a function: its answer to an image
    depends neither on the batch nor on earlier calls, and what two images differ by is never mere noise. The
    certificate does not rest on them: `certified_radius` draws its own.
    """

    def __init__(self, base: nn.Module, sigma: float, n: int, form: Literal["soft", "votes"], seed: int) -> None:
        super().__init__()
        self.base, self.sigma, self.n, self.form, self.seed = base, sigma, n, form, seed
        self.drawn = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        if self.form == "votes":
            if torch.is_grad_enabled() and images.requires_grad:
                raise RuntimeError('votes have no gradient (attack the model with form = "soft")')
            counts = self.votes(images)
            return ((counts + 1) / (self.n + counts.shape[-1])).log().to(images)
        return torch.cat([answers.log_softmax(-1) for answers in self.answers(images)]).logsumexp(0) - math.log(self.n)

    def votes(self, images: Tensor) -> Tensor:
        """Count how many noise samples make each class the strongest, int64 [b, classes]."""
        counts = [functional.one_hot(answers.argmax(-1), answers.shape[-1]).sum(0) for answers in self.answers(images)]
        return torch.stack(counts).sum(0)

    def answers(self, images: Tensor) -> Iterator[Tensor]:
        """Give the network's logits under each noise sample, [some, b, classes] at a time."""
        for noise in self.noise(images).split(max(1, INPUTS_AT_ONCE // max(1, len(images)))):
            noisy = images + self.sigma * noise[:, None]
            inputs = noisy.flatten(0, 1)
            wanted = torch.is_grad_enabled() and images.requires_grad  # a gradient, which needs one graph
            logits = self.base(inputs) if wanted else answered(self.base, inputs)
            yield logits.unflatten(0, noisy.shape[:2])

    def noise(self, images: Tensor) -> Tensor:
        """Give the noise samples, standard normal [n, c, h, w], drawn on the CPU so that every device has the same."""
        old = self.drawn
        if (old.shape[1:], old.device, old.dtype) != (images.shape[1:], images.device, images.dtype):
            generator = torch.Generator().manual_seed(self.seed)
            self.drawn = torch.randn(self.n, *images.shape[1:], generator=generator).to(images)
        return self.drawn
