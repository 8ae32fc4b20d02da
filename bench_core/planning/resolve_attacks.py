"""Finds the attacks of a suite in the registry, and builds each for its sources and budgets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

from ..errors import Fault, UsageError
from ..registry import Offer, Registry
from ..suite.model import AttackEntry, Suite, members, source_label
from ..types import Access, Attack, Budget, Cost, Rejection
from .budgets import NoStep, budget_for
from .lookup import planned_options
from .specs import AttackSpec, ModelSpec
from .uses import AttackUse

AttackKey = tuple[str, str, str]  # attack, source, budget


@dataclass(frozen=True)
class Source:
    """A source. In one pass, an image passes all its members, and each of the networks that these are made of."""

    label: str
    members: int
    networks: int


@dataclass
class AttackResolver:
    """Resolves labels to attacks. `resolve_all` fills `uses`, by attack, source and budget, and `faults`."""

    suite: Suite
    registry: Registry
    models: dict[str, ModelSpec]
    uses: dict[AttackKey, AttackUse] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def resolve_all(self) -> None:
        for label, entry in self.suite.attacks.items():
            try:
                offer = self.find(entry, f"attacks.{label}")
            except UsageError as error:
                self.faults += error.faults
                continue
            for source, budget in self.combinations(label):
                use = self.resolve(label, offer, self.sources[source], budget)
                if use is not None:
                    self.uses[label, source, budget] = use
        self.faults = list(dict.fromkeys(self.faults))

    @cached_property
    def sources(self) -> dict[str, Source]:
        found = {}
        for source in self.suite.sources:
            names = members(source)
            networks = sum(self.models[name].networks for name in names if name in self.models) or 1
            found[source_label(source)] = Source(source_label(source), len(names), networks)
        return found

    def find(self, entry: AttackEntry, key: str) -> Offer:
        if entry.recipe is not None:
            return self.registry.find("attacks", entry.recipe, self.suite.file, f"{key}.recipe")
        return self.registry.compose(_names(entry), self.suite.file, f"{key}.parts")

    def combinations(self, attack: str) -> Iterator[tuple[str, str]]:
        """Yield the sources and budgets under which an attack runs."""
        for source in self.sources:
            for budget, entry in self.suite.budgets.items():
                if source in (entry.sources or [source]) and attack in (entry.attacks or [attack]):
                    yield source, budget

    def resolve(self, label: str, offer: Offer, source: Source, budget: str) -> AttackUse | None:
        """Build an attack; None if it has faults, which are added."""
        entry, key = self.suite.attacks[label], f"attacks.{label}"
        given = entry.options | entry.by_source.get(source.label, {})
        options, faults = planned_options(offer, given, self.suite.file, key)
        self.faults += faults
        if faults:
            return None

        def passes_of(candidate: Budget) -> float:
            cost = cost_of(offer.build(candidate, **options), source.members)
            return source.networks * sum(cost.total(candidate.steps))

        try:
            limited = budget_for(self.suite, budget, passes_of)
            attack = offer.build(limited, **options)
        except NoStep as error:
            found = f"found {error.passes}, but the first step of {label} on {source.label} takes {error.first:g}"
            hint = f"(try passes = {math.ceil(error.first)}, fewer copies, or budgets.{budget}.attacks)"
            self.faults.append(Fault(self.suite.file, f"budgets.{budget}.passes", f"{found} {hint}"))
            return None
        except ValueError as error:
            reason: Rejection | None = Rejection.of(str(error)) or Rejection("", "rejects its options without a reason")
        else:
            reason = _rejected_access(attack, limited, budget) or _rejected_members(attack, source)
        if reason:
            self.faults.append(Fault(self.suite.file, f"{key}.{reason.option}".rstrip("."), reason.message))
            return None
        return used(attack, AttackSpec(_names(entry), entry.parts is not None, options, offer.code), limited, source)


def used(attack: Attack, spec: AttackSpec, budget: Budget, source: Source) -> AttackUse:
    """Return an attack as the suite uses it on a source."""
    deviations = dict(getattr(attack, "deviations", {}))
    has_checks = hasattr(attack, "check_source") or hasattr(attack, "check_classes")
    return AttackUse(
        spec,
        budget,
        cost_of(attack, source.members),
        getattr(attack, "check", None),
        getattr(attack, "global_seed", False) and budget.queries is None,  # else it attacks one image at a time
        source.networks,
        cost_assumed=not hasattr(attack, "cost") or "cost" in deviations,
        deviations=deviations,
        checks_source=getattr(attack, "asks_source", has_checks),
        donors=getattr(attack, "donors", 0),
        donors_of_other_classes=getattr(attack, "donors_of_other_classes", False),
    )


def cost_of(attack: Attack, networks: int) -> Cost:
    """Return the cost that an attack declares for a source of so many networks, in passes of all of them."""
    cost: Cost = attack.cost_for(networks) if hasattr(attack, "cost_for") else getattr(attack, "cost", Cost())
    return cost


def _rejected_access(attack: Attack, budget: Budget, label: str) -> Rejection | None:
    """Return why an attack cannot do with what a budget gives of the network, or None if it can."""
    needed: Access = getattr(attack, "access", "gradients")
    levels = get_args(Access)
    if levels.index(budget.access) <= levels.index(needed):
        return None
    found = f"it needs {needed}, but budgets.{label} gives only {budget.access}"
    return Rejection("recipe", f'{found} (try square, or access = "{needed}", or budgets.{label}.attacks)')


def _rejected_members(attack: Attack, source: Source) -> Rejection | None:
    """Return why a source of so many networks cannot be attacked, as far as the attack knows without them."""
    check = getattr(attack, "check_members", None)
    rejection = Rejection.of(check(source.members)) if check else None
    return rejection and Rejection(rejection.option, f"on {source.label}: {rejection.message}")


def _names(entry: AttackEntry) -> tuple[str, ...]:
    return (entry.recipe,) if entry.recipe is not None else tuple(entry.parts or ())
