"""Metrics and attacks as a suite uses them: their specification, and what the plan needs to know of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..donors import donors_digest
from ..types import Cost, Images
from .specs import AttackSpec, MetricSpec

NEEDS = ("clean", "adversarial", "step", "source", "target", "rng", "data_mean")
NEEDS_ATTACK = frozenset({"adversarial", "step", "source"})


@dataclass(frozen=True)
class MetricUse:
    """A metric of the suite.

    Attributes:
        label: Its name in the suite.
        spec: How a worker builds it.
        needs: The parameters of its `observe`, a subset of NEEDS.
        over: The images it observes if it needs no attack: "all" or "selected".
        metric: The metric itself.
        forwards: Images that one observation of one image puts through a network.
        models: The labels of the models that it observes if it needs no attack.
    """

    label: str
    spec: MetricSpec
    needs: frozenset[str]
    over: str
    metric: Any
    forwards: float = 1
    models: Collection[str] = ()

    @property
    def needs_attack(self) -> bool:
        return bool(self.needs & NEEDS_ATTACK)

    def observations(self, steps: int) -> int:
        """Count the steps at which it observes an attack of `steps` steps."""
        if "step" not in self.needs:
            return 1
        observed = getattr(self.metric, "steps", None)
        return steps if observed is None else sum(1 <= step <= steps for step in observed)


@dataclass(frozen=True)
class AttackUse:
    """An attack on one source within one budget.

    Attributes:
        check: The attack's own check of an image shape, or None.
        global_seed: Whether it draws from the global generators, which the host seeds for each batch.
        networks: The number of networks of the source, each of which an image passes in one pass of `cost`.
        cost_assumed: Whether the cost is an estimate by the attack, or by the host if the attack declares none.
        deviations: Rules of `bench check` that the attack declares it cannot keep, and why.
        donors: The number of clean images that it may mix in, which are then part of its address.
        donors_of_other_classes: Whether each image needs donors of another class than its own.
        checks_source: Whether it rejects some source networks, which only the network itself can show.
    """

    spec: AttackSpec
    cost: Cost
    check: Any
    global_seed: bool = False
    networks: int = 1
    cost_assumed: bool = False
    deviations: Mapping[str, str] = field(default_factory=dict)
    checks_source: bool = False
    donors: int = 0
    donors_of_other_classes: bool = False

    def spec_on(self, images: Images) -> AttackSpec:
        """Return how a worker builds the attack, with the digest of the donors if it declares any."""
        return replace(self.spec, donors=donors_digest(images, self.donors)) if self.donors else self.spec

    def passes(self, steps: int) -> tuple[float, float]:
        """Return the forwards and backwards of one image in `steps` steps, through all networks of the source."""
        forwards, backwards = self.cost.total(steps)
        return self.networks * forwards, self.networks * backwards
