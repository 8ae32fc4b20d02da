"""Calls a metric's `observe` and checks the rows that it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ContractError
from ..queries import Queries
from ..types import Examples, Metric, Step
from .guard import TensorVersions, differing

Arrays = dict[str, NDArray[Any]]


class Observer:
    """A metric within a job. It collects the metric's rows at every step, or once at the end.

    A metric must not change a network. A network that the attack computes with is compared before and after each
    observation, since the attack may change it between two. Any other network is compared around the first observation
    and after the last, because a comparison takes as long as a small batch's step.

    Args:
        key: The key of the metric's cell in the store.
        metric: The metric. The parameters of its `observe` name what it needs.
        constants: The arguments of `observe` that are the same at every step.
    """

    def __init__(self, key: str, metric: Metric, **constants: Any) -> None:
        self.key, self.constants = key, constants
        self.observe: Callable[..., Mapping[str, Tensor]] = metric.observe
        self.needs = tuple(inspect.signature(metric.observe).parameters)
        self.stepwise = "step" in self.needs
        self.collected: list[Arrays] = []
        # of networks that are compared again at the end
        self.versions: dict[str, tuple[nn.Module, TensorVersions]] = {}

    def step(self, step: Step, clean: Examples) -> None:
        """Observe the images after a step of an attack, if the metric observes every step."""
        if self.stepwise:
            self._collect(len(clean.labels), clean=clean, step=step, adversarial=step.images)

    def end(self, adversarial: Tensor, clean: Examples, queries: Queries | None = None) -> None:
        """Observe the last images of an attack, if the metric does not observe every step."""
        if not self.stepwise:
            self._collect(len(clean.labels), clean=clean, adversarial=adversarial, queries=queries)

    def images(self, clean: Examples) -> None:
        """Observe clean images."""
        self._collect(len(clean.labels), clean=clean)

    def _collect(self, count: int, **arguments: Any) -> None:
        values = self.constants | arguments
        given = {name: values[name] for name in self.needs}
        before = {name: [tensor.clone() for tensor in tensors_of(value)] for name, value in given.items()}
        networks = {name: value for name, value in given.items() if isinstance(value, nn.Module)}
        versions = {
            name: (network, TensorVersions.of(network))
            for name, network in networks.items()
            if name not in self.versions
        }
        with torch.no_grad():  # a suspended generator may have left gradients enabled
            rows = self.observe(**given)
        for name, copies in before.items():  # the next metric observes the same tensors
            if not all(map(torch.equal, copies, tensors_of(given[name]))):
                raise ContractError(f'the metric changed "{name}" in place')
        check_unchanged(versions)
        attacked = self.constants.get("source")
        self.versions |= {name: version for name, version in versions.items() if not share_layers(version[0], attacked)}
        self.collected.append(checked_rows(rows, count))

    def arrays(self) -> Arrays:
        """Return the rows as arrays named KEY/ROW: [n, ...], or [n, steps, ...] if the metric observes every step.

        Raises:
            ContractError: if the metric changed a network.
        """
        check_unchanged(self.versions)
        if not self.collected:
            return {}
        names = self.collected[0]
        if not self.stepwise:
            return {f"{self.key}/{name}": self.collected[0][name] for name in names}
        return {f"{self.key}/{name}": np.stack([rows[name] for rows in self.collected], axis=1) for name in names}


def check_unchanged(versions: Mapping[str, tuple[nn.Module, TensorVersions]]) -> None:
    """Raise ContractError if a network differs from its earlier version, so that the worker builds it again."""
    for name, (network, version) in versions.items():
        changed = differing(version, TensorVersions.of(network))
        if changed:
            raise ContractError(f"the metric changed the {name}'s {', '.join(changed)}")


def share_layers(network: nn.Module, other: nn.Module | None) -> bool:
    """Return whether two networks have a layer in common."""
    return other is not None and not set(network.modules()).isdisjoint(other.modules())


def tensors_of(value: Any) -> list[Tensor]:
    """Return the tensors of an argument of `observe`."""
    match value:
        case Tensor():
            return [value]
        case Examples():
            return [tensor for tensor in (value.images, value.labels, value.targets) if tensor is not None]
        case Step():
            return [value.images]
        case Queries():
            return [value.fooled_at, value.spent]
    return []


def checked_rows(rows: Mapping[str, Tensor], count: int) -> Arrays:
    """Convert rows to arrays; non-negative integers below 2**15 become int16, to save space.

    Raises:
        ContractError: if a tensor does not have one row for each of the `count` images.
    """
    arrays = {}
    for name, row in rows.items():
        if row.ndim == 0 or len(row) != count:
            raise ContractError(f'the metric\'s rows "{name}" have shape {tuple(row.shape)}, not {count} rows')
        values = row.detach().cpu()
        small = values.dtype == torch.int64 and values.numel() and values.min() >= 0 and values.max() < 2**15
        arrays[name] = (values.to(torch.int16) if small else values).numpy().copy()
    return arrays
