"""Calls a metric's `observe` and checks the rows that it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ContractError
from ..queries import Queries
from ..types import Examples, Metric, Step
from .checks import Checks
from .guard import TensorVersions, differing
from .rows import Arrays, StepRows


class Observer:
    """A metric within a job. It collects the metric's rows at every step, or once at the end.

    A metric must not change a network. A network that the attack computes with is compared before and after each
    observation, since the attack may change it between two. Any other network is compared around the first observation
    and after the last, because a comparison takes as long as a small batch's step.

    Args:
        key: The key of the metric's cell in the store.
        metric: The metric. The parameters of its `observe` name what it needs.
        checks: The checks of the job; None to check at once, and to copy rows to the host at once.
        constants: The arguments of `observe` that are the same at every step.
    """

    def __init__(self, key: str, metric: Metric, checks: Checks | None = None, **constants: Any) -> None:
        self.key, self.checks, self.constants = key, checks or Checks(), constants
        self.observe: Callable[..., Mapping[str, Tensor]] = metric.observe
        self.needs = tuple(inspect.signature(metric.observe).parameters)
        self.stepwise = "step" in self.needs
        self.rows = StepRows(self.checks.wait)
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
            error = ContractError(f'the metric changed "{name}" in place')
            self.checks.unchanged(copies, tensors_of(given[name]), error)
        check_unchanged(versions)
        attacked = self.constants.get("source")
        self.versions |= {name: version for name, version in versions.items() if not share_layers(version[0], attacked)}
        self.rows.add(rows, count)

    @property
    def collected(self) -> list[Arrays]:
        """The rows of each step so far, on the host."""
        return self.rows.read()

    @collected.setter
    def collected(self, steps: list[Arrays]) -> None:
        self.rows.steps = steps

    def arrays(self) -> Arrays:
        """Return the rows as arrays named KEY/ROW: [n, ...], or [n, steps, ...] if the metric observes every step.

        Raises:
            ContractError: if the metric changed a network.
        """
        check_unchanged(self.versions)
        collected = self.collected
        if not collected:
            return {}
        if not self.stepwise:
            return {f"{self.key}/{name}": row for name, row in collected[0].items()}
        return {f"{self.key}/{name}": np.stack([rows[name] for rows in collected], axis=1) for name in collected[0]}


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
