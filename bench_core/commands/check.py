"""`bench check`: holds what a plugin offers to the rules of its kind."""

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
        str | None, typer.Argument(metavar="[NAME]", help="A recipe, a plugin or a package; none lists the rules.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the recipe; repeatable.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; repeatable.")] = None,
    like: Annotated[
        str | None, typer.Option(metavar="ATTACK", help="Also hold an attack against this one, step for step.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every verdict as JSON.")] = False,
) -> None:
    """Hold an attack, a metric, a model or a dataset to the rules of its kind; exit 1 where one is broken."""
    import torch

    from ..registry import discover
    from ..suite.merge import merged, read_override
    from ..testing import RULES, applicable, judge, offers, subjects
    from ..testing.reference import like as held_against

    if name is None:
        for kind, rules in RULES.items():
            print("\n".join([kind, *(f"  {each.name}: {each.about}" for each in rules.values()), ""]))
        return
    known = {each for rules in RULES.values() for each in rules}
    refuse_unknown(rule or (), known | ({"like"} if like is not None else set()))
    torch.set_num_threads(1)
    registry = discover()
    options: dict[str, Any] = reduce(merged, map(read_override, set_ or ()), {})
    more = [held_against(registry, like)] if like is not None else []
    verdicts: list[Verdict] = []
    for subject in subjects(registry, offers(registry, name), options):
        rules_here = [*applicable(subject), *(more if subject.refuses() is None else ())]
        asked = [each for each in rules_here if not rule or each.name in (*rule, "all", "like")]
        found = [judge(subject, each) for each in asked]
        verdicts += found
        if found and not as_json:
            print(text(found), flush=True)  # as it goes: a package of many attacks takes minutes
    if as_json:
        print(json.dumps([vars(each) for each in verdicts], indent=1))
    if any(each.status == "broken" for each in verdicts):
        raise typer.Exit(1)


def refuse_unknown(rules: Iterable[str], known: set[str]) -> None:
    """Raise UsageError for rules that there are not."""
    from ..errors import Fault, did_you_mean, stop_at_faults

    unknown = sorted(set(rules) - known)
    stop_at_faults([Fault("--rule", "", f'unknown rule "{each}" {did_you_mean(each, known)}') for each in unknown])


def text(verdicts: list[Verdict]) -> str:
    """Say of one subject what does not simply hold, a line each, then its counts."""
    from ..testing.verdicts import OUTCOMES

    count = Counter(each.status for each in verdicts)
    counts = ", ".join(f"{count[status]} {outcome}" for status, outcome in OUTCOMES.items() if count[status])
    lines = [str(each) for each in verdicts if each.status != "holds" or each.message]
    return "\n".join([*lines, f"{verdicts[0].subject}: {counts}"])
