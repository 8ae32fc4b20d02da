"""What is to be checked: everything of a name or a package, each attack under each norm, each recipe with options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..errors import Fault, UsageError, did_you_mean
from ..registry import Offer, Registry
from ..types import Json
from . import attacks, datasets, metrics, models
from .trial import AttackTrial
from .verdicts import Broken, Rule, Rules, Status, Unasked, Verdict

RULES: Mapping[str, Rules] = {
    "attacks": attacks.RULES,
    "metrics": metrics.RULES,
    "models": models.RULES,
    "datasets": datasets.RULES,
}


class Subject(Protocol):
    """One thing that rules are asked of, unless it `refuses`, say a norm that an attack does not take."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    def declared(self) -> Mapping[str, str]: ...
    def refuses(self) -> str | None: ...


class Waiting:
    """A recipe that cannot be built without options that nobody gave."""

    def __init__(self, offer: Offer, missing: Sequence[str]) -> None:
        self.name, self.kind, self.missing = f"{offer.kind[:-1]} {offer.name}", offer.kind, missing

    def declared(self) -> Mapping[str, str]:
        return {}

    def refuses(self) -> str:
        wanted = " ".join(f"--set {name}=VALUE" for name in self.missing)
        return f"it cannot be built without options (would do: {wanted}, or `examples` in its recipe)"


def offers(registry: Registry, name: str) -> list[Offer]:
    """Give what has a name, or all that a plugin or a package of that name offers.

    Raises UsageError where there is none, with the reason why a plugin of that name is unavailable.
    """
    broken = [each for each in registry.unavailable if name in (each.plugin, each.package)]
    if broken:
        raise UsageError(*(Fault("plugins", each.plugin, f"unavailable: {each.reason}") for each in broken))
    known = [offer for (kind, _), offer in sorted(registry.offers.items()) if kind in RULES]
    package = name.replace("_", "-").lower()
    found = [each for each in known if name == each.name] or [
        each for each in known if name == each.origin.plugin or package == each.origin.package.replace("_", "-").lower()
    ]
    if not found:
        names = {each.name for each in known} | {each.origin.plugin for each in known}
        raise UsageError(Fault("check", "", f'nothing is called "{name}" {did_you_mean(name, names)}'))
    return found


def subjects(registry: Registry, found: Iterable[Offer], given: Mapping[str, Any] | None = None) -> Iterator[Subject]:
    """Give the subjects of some offers, with the options `given`, or the recipe's examples, or its defaults.

    Raises UsageError where the options are wrong.
    """
    for offer in found:
        for options in [given] if given else (offer.recipe.examples or [{}]):
            missing = [each.name for each in offer.options if each.required and each.name not in options]
            if missing:
                yield Waiting(offer, missing)
                continue
            checked, faults = offer.check(options, "check", offer.name)
            if faults:
                raise UsageError(*faults)
            yield from trials(registry, offer, {key: checked[key] for key in options})


def trials(registry: Registry, offer: Offer, options: Json) -> Iterator[Subject]:
    if offer.kind == "attacks":
        yield from (AttackTrial(offer, options, norm) for norm in ("linf", "l2"))
    elif offer.kind == "metrics":
        yield metrics.MetricTrial(offer, options)
    elif offer.kind == "models":
        yield models.ModelTrial(offer, options, registry)
    else:
        yield datasets.DataTrial(offer, options)


def applicable(subject: Subject) -> list[Rule]:
    """Give the rules to ask of a subject: all of its kind, or one that says why none can be asked."""
    reason = subject.refuses()
    if reason is None:
        return list(RULES[subject.kind].values())

    def refused(_subject: Subject) -> None:
        raise Unasked(reason)

    return [Rule("all", "All rules of its kind.", refused)]


def judge(subject: Subject, rule: Rule) -> Verdict:
    """Ask one rule of a subject. What it declares to break is still asked, and reported as declared, never as held."""
    status, message, given = asked(subject, rule)
    return Verdict(subject.name, rule.name, status, message, given, subject.kind)


def asked(subject: Subject, rule: Rule) -> tuple[Status, str, str]:
    """Give the status of a rule, why, and with which input."""
    try:
        declared = subject.declared()
        known: Mapping[str, Rule] = RULES.get(subject.kind, {})
        wrong = sorted(name for name in declared if not getattr(known.get(name), "declarable", False))
        if wrong:
            return "broken", f"it declares deviations from {wrong}, which none may", ""
        said = declared.get(rule.name)
        try:
            rule.ask(subject)
        except Broken as broken:
            if said is None:
                return "broken", str(broken), broken.given
            return "declared", f"{said}; found: {broken}", broken.given
    except Unasked as unasked:
        return "unasked", str(unasked), ""
    return "holds", f"although it declares: {said}" if said else "", ""


def check(registry: Registry, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Verdict]:
    """Ask all rules of everything that has a name, or that a plugin or package of that name offers."""
    for subject in subjects(registry, offers(registry, name), options):
        for rule in applicable(subject):
            yield judge(subject, rule)
