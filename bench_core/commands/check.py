"""`bench check`: checks plugins against the rules of their kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..testing import Verdict


def check(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A recipe, a plugin or a package. Without it, the rules are listed."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option of the recipe. Repeatable.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="Check only this rule; like is that of --like. Repeatable.")
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="ATTACK", help="Also compare an attack with this one, step by step.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every verdict as JSON.")] = False,
) -> None:
    """Check a plugin against the rules of its kind.

    Attacks, metrics, models and datasets are run on small networks and images. Exits with 1 if a rule is broken.
    """
    import torch

    from ..registry import discover
    from ..suite.merge import merged, read_override
    from ..testing import RULES, applicable, judge, offers, subjects
    from ..testing.reference import rules_like

    if name is None:
        for kind, rules in RULES.items():
            print("\n".join([kind, *(f"  {rule.name}: {rule.about}" for rule in rules.values()), ""]))
        return
    known = {rule_name for rules in RULES.values() for rule_name in rules}
    check_rule_names(rule or (), known | ({"like"} if like is not None else set()))
    torch.set_num_threads(1)
    registry = discover()
    options: dict[str, Any] = reduce(merged, map(read_override, set_ or ()), {})
    extra_rules = rules_like(registry, like) if like is not None else []
    verdicts: list[Verdict] = []
    for subject in subjects(registry, offers(registry, name), options):
        extra = {rule.name: rule for rule in extra_rules} if subject.refuses() is None else {}
        candidates = [*({rule.name: rule for rule in applicable(subject)} | extra).values()]
        selected = [r for r in candidates if not rule or r.name in (*rule, "all")]
        results = [judge(subject, r) for r in selected]
        verdicts += results
        if results and not as_json:
            print(summary(results), flush=True)  # at once: a package of many attacks takes minutes
    if as_json:
        print(json.dumps([vars(verdict) for verdict in verdicts], indent=1))
    if any(verdict.status == "broken" for verdict in verdicts):
        raise typer.Exit(1)


def check_rule_names(rules: Iterable[str], known: set[str]) -> None:
    """Raise UsageError if a rule does not exist."""
    from ..errors import Fault, did_you_mean, stop_at_faults

    unknown = sorted(set(rules) - known)
    if "like" in unknown:
        stop_at_faults([Fault("--rule", "", "like compares with another attack (try --like ATTACK)")])
    stop_at_faults([Fault("--rule", "", f'unknown rule "{name}" {did_you_mean(name, known)}') for name in unknown])


def summary(verdicts: list[Verdict]) -> str:
    """Return a line for each cause that needs attention, then the counts of one subject."""
    from ..testing.verdicts import OUTCOMES, one_line_each

    count = Counter(verdict.status for verdict in verdicts)
    counts = ", ".join(f"{count[status]} {outcome}" for status, outcome in OUTCOMES.items() if count[status])
    return "\n".join([*one_line_each(verdicts), f"{verdicts[0].subject}: {counts}"])
