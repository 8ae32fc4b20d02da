"""Metrics and attacks as a suite uses them: their specification, and what the plan needs to know of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..donors import donors_digest
from ..errors import Fault, UsageError
from ..given.find import GivenImages
from ..types import Budget, Cost, Images
from .specs import AttackSpec, GivenSpec, MetricSpec

NEEDS = ("clean", "adversarial", "step", "source", "target", "rng", "data_mean", "queries")
NEEDS_ATTACK = frozenset({"adversarial", "step", "source", "queries"})
NEEDS_SOURCE = frozenset({"source", "queries"})  # which images that were made elsewhere lack


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
        budget: The suite's budget, with as many steps as its limit of passes allows.
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
    budget: Budget
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

    @property
    def passes(self) -> tuple[float, float]:
        """The forwards and backwards of one image, through all networks of the source."""
        forwards, backwards = self.cost.total(self.budget.steps)
        return self.networks * forwards, self.networks * backwards


@dataclass(frozen=True)
class GivenUse:
    """Images that were attacked elsewhere, as a suite uses them.

    Attributes:
        source: The name of the network that they were made on.
        attack: The name of the attack.
        budget: The label of the budget.
        images: The images.
        rounded: Whether they are rounded to 8 bits inside the ball before they are judged.
    """

    source: str
    attack: str
    budget: str
    images: GivenImages
    rounded: bool

    @property
    def labels(self) -> Mapping[str, str]:
        return {"source": self.source, "attack": self.attack, "budget": self.budget}

    @property
    def notes(self) -> Sequence[str]:
        rounded = self.rounded and not self.images.eight_bit
        return (*self.images.notes, *(["rounded to 8 bits inside the ball before they are judged"] if rounded else []))

    def has(self, indices: Sequence[int]) -> bool:
        """Return whether all images of a batch were given."""
        return all(index in self.images.places for index in indices)

    def check(self, indices: Sequence[int]) -> None:
        """Raise UsageError if an image that the suite selects was not given."""
        missing = [place for place, index in enumerate(indices) if index not in self.images.places]
        if missing:
            count = f"{len(missing)} of the {len(indices)} images that the suite attacks"
            first = f"the first is image {indices[missing[0]] + 1} of the dataset, counted from 1"
            hint = f" (try --limit {missing[0]})" if missing[0] else ""
            raise UsageError(Fault(str(self.images.root), "", f"lacks {count}; {first}{hint}"))

    def spec(self, indices: Sequence[int]) -> GivenSpec:
        """Return how a worker loads the images of a batch."""
        places = tuple(self.images.places[index] for index in indices)
        digests = tuple(self.images.digests[index] for index in indices)
        return GivenSpec(str(self.images.root), places, digests, self.rounded)

    def targets(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Return the classes that the attack aimed at; empty if they are unknown."""
        return tuple(self.images.targets[index] for index in indices) if self.images.targets else ()
