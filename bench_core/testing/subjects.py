"""The subjects of a check: recipes with their example options, attacks under each norm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..errors import Fault, UsageError, did_you_mean
from ..registry import Offer, Registry
from ..types import Json
from . import attacks, datasets, metrics, models
from .attack_case import AttackCase
from .verdicts import Broken, Rule, Rules, Skipped, Status, Verdict

RULES: Mapping[str, Rules] = {
    "attacks": attacks.RULES,
    "metrics": metrics.RULES,
    "models": models.RULES,
    "datasets": datasets.RULES,
}


class Subject(Protocol):
    """One thing to check, unless `refuses` returns a reason, such as a norm that an attack does not support."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    def declared(self) -> Mapping[str, str]: ...
    def refuses(self) -> str | None: ...


class MissingOptions:
    """A subject that is skipped: a recipe with required options that were not given."""

    def __init__(self, offer: Offer, missing: Sequence[str]) -> None:
        self.name, self.kind, self.missing = f"{offer.kind[:-1]} {offer.name}", offer.kind, missing

    def declared(self) -> Mapping[str, str]:
        return {}

    def refuses(self) -> str:
        wanted = " ".join(f"--set {name}=VALUE" for name in self.missing)
        return f"it has required options (try {wanted}, or add `examples` to its recipe)"


def offers(registry: Registry, name: str) -> list[Offer]:
    """Return the recipe of a name, or all recipes of a plugin or package of that name.

    Args:
        registry: The plugins to search.
        name: A recipe, a plugin or a package.

    Raises:
        UsageError: Nothing has that name, or the plugin of that name is unavailable.
    """
    broken = [
        plugin
        for plugin in registry.unavailable
        if name in (plugin.plugin, plugin.package) or name.startswith(f"{plugin.plugin}:")
    ]
    if broken:
        raise UsageError(*(Fault("plugins", plugin.plugin, f"unavailable: {plugin.reason}") for plugin in broken))
    known = [offer for (kind, _), offer in sorted(registry.offers.items()) if kind in RULES]
    package = name.replace("_", "-").lower()
    found = [offer for offer in known if name == offer.name] or [
        offer
        for offer in known
        if name == offer.origin.plugin or package == offer.origin.package.replace("_", "-").lower()
    ]
    if not found:
        names = {offer.name for offer in known} | {offer.origin.plugin for offer in known}
        hint = did_you_mean(name, names, "bench plugins")
        raise UsageError(Fault("check", "", f'nothing is called "{name}" {hint}'))
    return found


def subjects(registry: Registry, found: Iterable[Offer], given: Mapping[str, Any] | None = None) -> Iterator[Subject]:
    """Yield the subjects of some recipes.

    Args:
        registry: The plugins that recipes may refer to.
        found: The recipes, as `offers` returns them.
        given: The options of all of them; by default the `examples` of each recipe, or else its defaults.

    Raises:
        UsageError: The options are wrong.
    """
    for offer in found:
        for options in [given] if given else (offer.recipe.examples or [{}]):
            missing = [option.name for option in offer.options if option.required and option.name not in options]
            if missing:
                yield MissingOptions(offer, missing)
                continue
            checked, faults = offer.check(options, "check", offer.name)
            if faults:
                raise UsageError(*faults)
            yield from trials(registry, offer, {key: checked[key] for key in options})


def trials(registry: Registry, offer: Offer, options: Json) -> Iterator[Subject]:
    """Yield the subjects of one recipe with checked options: an attack under each norm, anything else once."""
    if offer.kind == "attacks":
        yield from (AttackCase(offer, options, norm) for norm in getattr(offer.recipe, "norms", ("linf", "l2")))
    elif offer.kind == "metrics":
        yield metrics.MetricCase(offer, options)
    elif offer.kind == "models":
        yield models.ModelCase(offer, options, registry)
    else:
        yield datasets.DatasetCase(offer, options)


def applicable(subject: Subject) -> list[Rule]:
    """Return the rules of a subject's kind, or one rule that is skipped with the reason why none applies."""
    reason = subject.refuses()
    if reason is None:
        return list(RULES[subject.kind].values())

    def refused(_subject: Subject) -> None:
        raise Skipped(reason)

    return [Rule("all", "All rules of its kind.", refused)]


def judge(subject: Subject, rule: Rule) -> Verdict:
    """Check one rule of a subject. A deviation that it declares has the status `declared`, unless the plugin raised."""
    try:
        status, message, given = _outcome(subject, rule)
    except Broken as broken:
        return Verdict(subject.name, rule.name, "broken", str(broken), broken.given, subject.kind, broken.advice)
    return Verdict(subject.name, rule.name, status, message, given, subject.kind)


def _outcome(subject: Subject, rule: Rule) -> tuple[Status, str, str]:
    """Return the status of a rule, the message, and a description of the input. Raises Broken."""
    try:
        declared = subject.declared()
        known: Mapping[str, Rule] = RULES.get(subject.kind, {})
        wrong = sorted(name for name in declared if not getattr(known.get(name), "declarable", False))
        if wrong:
            return "broken", f"it declares deviations from {wrong}, which cannot be declared", ""
        reason = declared.get(rule.name)
        try:
            rule.ask(subject)
        except Broken as broken:
            if reason is None or not broken.declarable:
                raise
            return "declared", f"{reason}; found: {broken}", broken.given
    except Skipped as unasked:
        return "unasked", str(unasked), ""
    return "holds", f"declared as a deviation: {reason}" if reason else "", ""


def check(registry: Registry, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Verdict]:
    """Check all rules of the recipe of a name, or of all recipes of a plugin or package of that name.

    Args:
        registry: The plugins to search.
        name: A recipe, a plugin or a package.
        options: The options of the recipes; by default their `examples`.

    Yields:
        A verdict for every rule.

    Raises:
        UsageError: Nothing has that name, or the options are wrong.
    """
    for subject in subjects(registry, offers(registry, name), options):
        for rule in applicable(subject):
            yield judge(subject, rule)
