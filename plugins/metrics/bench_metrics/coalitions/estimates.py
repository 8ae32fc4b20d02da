"""Means with their standard errors, accumulated round by round; games share their draws, so differences are paired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Estimate:
    """Unbiased means over independent draws, with their covariance.

    Attributes:
        mean: Means, float64 [n, orders, (teams,) games].
        covariance: Covariance of these means over the games, float64 [n, orders, (teams,) games, games].
        draws: Number of draws per mean, int64 [n, orders, (teams)].
        forwards: Forward passes per image, all games together, int64 [n].
    """

    mean: Tensor
    covariance: Tensor
    draws: Tensor
    forwards: Tensor

    @property
    def error(self) -> Tensor:
        """The standard errors, shaped like `mean`."""
        return self.covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()

    def contrast(self, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Return a weighted sum over the games and its standard error; (1, -1) is a paired difference."""
        w = torch.tensor(weights, dtype=self.mean.dtype)
        return self.mean @ w, (self.covariance @ w @ w).clamp(min=0).sqrt()


class Tally:
    """Accumulates independent draws of several games: counts, sums and sums of products, per image and order."""

    def __init__(self, shape: Sequence[int], games: int) -> None:
        self.count = torch.zeros(*shape, dtype=torch.long)
        self.total = torch.zeros(*shape, games, dtype=torch.float64)
        self.products = torch.zeros(*shape, games, games, dtype=torch.float64)

    def add(self, index: tuple[Tensor | int | slice, ...], drawn: Tensor) -> None:
        """Add k draws [..., k, games] to the sums at `index`, an index into the shape."""
        self.count[index] += drawn.shape[-2]
        self.total[index] += drawn.sum(-2)
        self.products[index] += drawn.mT @ drawn

    def mean(self) -> Tensor:
        return self.total / self.count[..., None]

    def covariance(self) -> Tensor:
        """Return the covariance of the means; infinite after a single draw."""
        mean, count = self.mean(), self.count[..., None, None].double()
        scatter = self.products - count * mean[..., :, None] * mean[..., None, :]
        covariance = scatter / (count * (count - 1).clamp(min=1))
        return torch.where(count > 1, covariance, torch.inf)


class Strata:
    """Accumulates strata of equal weight with two draws each, of several games, per image and order."""

    def __init__(self, shape: Sequence[int], games: int) -> None:
        self.count = torch.zeros(*shape, dtype=torch.long)
        self.total = torch.zeros(*shape, games, dtype=torch.float64)
        self.products = torch.zeros(*shape, games, games, dtype=torch.float64)

    def add(self, index: tuple[Tensor | int | slice, ...], drawn: Tensor) -> None:
        """Add k strata of two draws, [..., k, 2, games], to the sums at `index`, an index into the shape."""
        first, second = drawn.unbind(-2)
        self.count[index] += drawn.shape[-3]
        self.total[index] += (first + second).sum(-2) / 2
        self.products[index] += (first - second).mT @ (first - second) / 4

    def mean(self) -> Tensor:
        return self.total / self.count[..., None]

    def covariance(self) -> Tensor:
        """Return the covariance of the means.

        A quarter of the squared difference of its two draws estimates the variance of a stratum's mean without bias.
        """
        return self.products / self.count[..., None, None].double() ** 2
