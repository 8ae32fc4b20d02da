"""Minimal-norm attacks written by hand: one image [c, h, w] at a time, in float64, from their papers and code.

Each returns the distance of the nearest point on its way that fools the network, infinite if there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

SIZES: dict[str, Callable[[Tensor], float]] = {
    "linf": lambda delta: delta.abs().max().item(),
    "l2": lambda delta: delta.norm().item(),
    "l1": lambda delta: delta.abs().sum().item(),
    "l0": lambda delta: float((delta != 0).any(0).sum()),
}


@dataclass
class Way:
    """One image, and the distances of the points that fooled the network so far."""

    model: nn.Module
    clean: Tensor
    label: int
    norm: str
    target: int | None = None
    found: list[float] = field(default_factory=list)

    def margin(self, logits: Tensor) -> Tensor:
        """Return the lead of the wrong class, or of the target."""
        chosen = self.label if self.target is None else self.target
        others = torch.cat([logits[:chosen], logits[chosen + 1 :]]).max()
        return others - logits[chosen] if self.target is None else logits[chosen] - others

    def cross_entropy(self, logits: Tensor) -> Tensor:
        surprise = -logits.log_softmax(0)
        return surprise[self.label] if self.target is None else -surprise[self.target]

    def look(self, point: Tensor, value: Callable[[Tensor], Tensor]) -> tuple[float, Tensor, bool]:
        """Return the value, its gradient, and whether the point fools the network, and note its distance if so."""
        at = point.clone().requires_grad_(True)
        logits = self.model(at[None])[0]
        worth = value(logits)
        (gradient,) = torch.autograd.grad(worth, at)
        predicted = int(logits.argmax())
        fooled = predicted != self.label if self.target is None else predicted == self.target
        if fooled:
            self.found.append(SIZES[self.norm](point - self.clean))
        return worth.item(), gradient, fooled

    @property
    def best(self) -> float:
        return min(self.found, default=math.inf)


def ddn(way: Way, steps: int, gamma: float = 0.05) -> float:
    delta, radius = torch.zeros_like(way.clean), 1.0
    furthest = torch.maximum(way.clean, 1 - way.clean).norm().item()
    for step in range(steps):
        _, gradient, fooled = way.look(way.clean + delta, way.cross_entropy)
        delta = delta + (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2) * gradient / gradient.norm()
        radius = min(furthest, radius * (1 - gamma if fooled else 1 + gamma))
        delta = (way.clean + radius * delta / delta.norm()).clamp(0, 1) - way.clean
    return way.best


def fmn(way: Way, steps: int) -> float:
    delta, found = torch.zeros_like(way.clean), False
    radius = 1.0 if way.norm == "l0" else 0.0
    furthest = SIZES[way.norm](torch.maximum(way.clean, 1 - way.clean))
    for step in range(steps):
        lead, gradient, fooled = way.look(way.clean + delta, way.margin)
        found = found or fooled
        cosine = (1 + math.cos(math.pi * step / steps)) / 2
        alpha, gamma = 0.01 + 0.99 * cosine, 0.001 + 0.049 * cosine
        if way.norm == "l0":
            fewer = max(0.0, min(radius - 1, math.floor(radius * (1 - gamma)), way.best))
            radius = fewer if fooled else max(radius + 1, math.floor(radius * (1 + gamma)))
        elif fooled:
            radius = min(radius * (1 - gamma), way.best)
        else:
            dual = {"linf": gradient.abs().sum(), "l2": gradient.norm(), "l1": gradient.abs().max()}[way.norm].item()
            estimate = 0.0 if found else SIZES[way.norm](delta) + abs(lead) / dual
            grown = radius * (1 + gamma) if found or way.norm != "linf" else 0.0
            radius = max(grown, estimate)
        radius = min(radius, furthest)
        delta = nearest(delta + alpha * gradient / gradient.norm(), radius, way.norm)
        delta = (way.clean + delta).clamp(0, 1) - way.clean
    return way.best


def nearest(delta: Tensor, radius: float, norm: str) -> Tensor:
    """Project onto a ball; in L2 onto the sphere."""
    if norm == "linf":
        return delta.clamp(-radius, radius)
    if norm == "l2":
        return radius * delta / delta.norm()
    if norm == "l0":
        lengths = delta.norm(dim=0)
        smallest = lengths.flatten().sort(descending=True).values[max(0, int(radius) - 1)]
        return delta * (lengths >= smallest)
    sizes = delta.abs().flatten().sort(descending=True).values.tolist()  # Duchi et al. (2008), figure 1
    if sum(sizes) <= radius:
        return delta
    threshold = max((sum(sizes[: k + 1]) - radius) / (k + 1) for k in range(len(sizes)))
    return delta.sign() * (delta.abs() - threshold).clamp(min=0)


@dataclass
class Descent:
    """Adam with its usual decays, as in torch."""

    first: Tensor
    second: Tensor
    count: int = 0

    def step(self, gradient: Tensor) -> Tensor:
        self.count += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first, second = self.first / (1 - 0.9**self.count), self.second / (1 - 0.999**self.count)
        return -first / (second.sqrt() + 1e-8)


def sigma_zero(way: Way, steps: int, sigma: float = 1e-3) -> float:
    delta, size, threshold = torch.zeros_like(way.clean), 1.0, 0.3
    descent = Descent(torch.zeros_like(delta), torch.zeros_like(delta))
    for step in range(steps):
        point = way.clean + delta
        _, _, fooled = way.look(point, way.margin)
        at = delta.clone().requires_grad_(True)
        logits = way.model((way.clean + at)[None])[0]
        smooth = (at**2 / (at**2 + sigma)).mean()
        (gradient,) = torch.autograd.grad((-way.margin(logits)).clamp(min=0) + smooth, at)
        delta = (point + size * descent.step(gradient / gradient.abs().max())).clamp(0, 1) - way.clean
        size = 0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2
        threshold = min(1.0, max(0.0, threshold + (0.01 if fooled else -0.01) * size))
        delta = torch.where(delta.abs() < threshold, 0.0, delta)
    return way.best


def carlini_wagner(way: Way, searches: int, iterations: int, weight: float) -> float:
    """Evaluate the start once, and then `iterations` points in each search."""
    start = torch.atanh((2 * way.clean - 1) * (1 - 1e-6))
    low, high = 0.0, 1e10
    for _ in range(searches):
        at, before = start, len(way.found)
        descent = Descent(torch.zeros_like(at), torch.zeros_like(at))
        for step in range(iterations + 1):
            point = (at.tanh() + 1) / 2
            way.look(point, way.margin)
            if step == iterations:
                break
            inner = at.clone().requires_grad_(True)
            moved = (inner.tanh() + 1) / 2
            lead = way.margin(way.model(moved[None])[0])
            objective = (moved - way.clean).square().sum() + weight * (-lead).clamp(min=0)
            at = at + 0.01 * descent.step(torch.autograd.grad(objective, inner)[0])
        if len(way.found) > before:
            high = min(high, weight)
        else:
            low = max(low, weight)
        weight = (low + high) / 2 if high < 1e9 else 10 * weight
    return way.best


def deepfool(way: Way, steps: int, overshoot: float = 0.02) -> float:
    point = way.clean
    for _ in range(steps):
        _, _, fooled = way.look(point, way.margin)
        if fooled:
            return way.best
        shortest, step = math.inf, torch.zeros_like(point)
        for other in range(len(way.model(point[None])[0])):
            if other == way.label:
                continue
            lead, slope, _ = way.look(point, lambda logits, other=other: logits[other] - logits[way.label])
            size = (slope.norm() if way.norm == "l2" else slope.abs().sum()).item()
            if abs(lead) / size < shortest:
                shortest = abs(lead) / size
                step = (shortest + 1e-4) * (slope / size if way.norm == "l2" else slope.sign())
        point = (point + (1 + overshoot) * step).clamp(0, 1)
    way.look(point, way.margin)
    return way.best
