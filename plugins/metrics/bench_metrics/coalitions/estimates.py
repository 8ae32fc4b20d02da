"""Means with their standard errors, gathered round by round; several games on the same draws, so that they pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.statistics import student_t

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Estimate:
    """Unbiased means over independent draws, and how far off they may be.

    `mean` float64 [n, orders, (teams,) games]; `covariance` [n, orders, (teams,) games, games] that of these means over
    the games, which share their draws; `draws` [n, orders, (teams)] how many each is of, and `degrees` of freedom of
    its variance; `forwards` int [n] what each image cost, all games together.
    """

    mean: Tensor
    covariance: Tensor
    draws: Tensor
    degrees: Tensor
    forwards: Tensor

    @property
    def error(self) -> Tensor:
        """The standard errors, shaped like `mean`."""
        return self.covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()

    @property
    def interval(self) -> tuple[Tensor, Tensor]:
        """The ends of the 95% intervals, shaped like `mean`, by Student's t of `degrees`."""
        quantile = {degrees: student_t(degrees) if degrees else math.inf for degrees in self.degrees.unique().tolist()}
        half = self.degrees.double().apply_(quantile.__getitem__)[..., None] * self.error
        half = torch.where(self.error > 0, half, 0.0)  # of a single context nothing is left to chance
        return self.mean - half, self.mean + half

    def contrast(self, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Give a weighted sum over the games and its standard error: (1, -1) is the first less the second, paired."""
        w = torch.tensor(weights, dtype=self.mean.dtype)
        return self.mean @ w, (self.covariance @ w @ w).clamp(min=0).sqrt()


class Tally:
    """Adds up draws of several games: counts, sums and products of sums, all per image and order."""

    def __init__(self, shape: Sequence[int], games: int) -> None:
        self.count = torch.zeros(*shape, dtype=torch.long)
        self.total = torch.zeros(*shape, games, dtype=torch.float64)
        self.products = torch.zeros(*shape, games, games, dtype=torch.float64)

    def add(self, place: tuple[Tensor | int | slice, ...], drawn: Tensor) -> None:
        """Add draws [*place, k, games]."""
        self.count[place] += drawn.shape[-2]
        self.total[place] += drawn.sum(-2)
        self.products[place] += drawn.mT @ drawn

    def mean(self) -> Tensor:
        return self.total / self.count[..., None]

    def covariance(self) -> Tensor:
        """Give the covariance of the means; infinite where one draw says nothing of it."""
        mean, count = self.mean(), self.count[..., None, None].double()
        scatter = self.products - count * mean[..., :, None] * mean[..., None, :]
        known = scatter / (count * (count - 1).clamp(min=1))
        return torch.where(count > 1, known, torch.inf)


class Strata:
    """Adds up strata of equal weight with two draws each, of several games, per image and order."""

    def __init__(self, shape: Sequence[int], games: int) -> None:
        self.count = torch.zeros(*shape, dtype=torch.long)
        self.total = torch.zeros(*shape, games, dtype=torch.float64)
        self.products = torch.zeros(*shape, games, games, dtype=torch.float64)

    def add(self, place: tuple[Tensor | int | slice, ...], drawn: Tensor) -> None:
        """Add strata [*place, k, 2, games]."""
        one, other = drawn.unbind(-2)
        self.count[place] += drawn.shape[-3]
        self.total[place] += (one + other).sum(-2) / 2
        self.products[place] += (one - other).mT @ (one - other) / 4

    def mean(self) -> Tensor:
        return self.total / self.count[..., None]

    def covariance(self) -> Tensor:
        """Give the covariance of the means: a stratum's mean has a quarter of its squared difference, expected."""
        return self.products / self.count[..., None, None].double() ** 2
