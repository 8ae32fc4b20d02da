"""What stands beside a number: E voids a score, W makes a reader careful, with the reason. Derived from the rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reserved import EXAMINED, RECORD
from ..statistics import bootstrap
from ..suite.model import ENSEMBLE_MARK, BudgetTable
from .summarise import LabelledScore, RowSet

NAMED = 3  # attacks or networks that a flag names; the others it counts
STILL_LOSING = 0.05  # share of images not fooled below which there is nothing left to gain
STILL_CLIMBING = 0.1  # of what an attack gained over noise: more than that in its last steps is no convergence

Rows = Mapping[str, NDArray[Any]]
Attacked = tuple[str, str, str]  # source, attack, budget


@dataclass(frozen=True)
class Warned:
    """One reason to be careful: `kind` says which, `found` the numbers; it is about a network, or about an attack."""

    kind: str
    found: str = ""
    network: str = ""
    attacked: Attacked = ("", "", "")

    def concerns(self, score: LabelledScore) -> bool:
        """Say whether a score depends on what this is about."""
        if not self.network:
            return attacked(score.labels) == self.attacked
        source, target = (str(score.labels.get(name, "")) for name in ("source", "target"))
        return self.network in (*source.split(ENSEMBLE_MARK), target)

    def __str__(self) -> str:
        source, attack, budget = self.attacked
        about = self.network or f"{attack} on {source}, {budget}"
        return f"{about} ({self.found})" if self.found else about


def attacked(labels: Mapping[str, Any]) -> Attacked:
    return str(labels.get("source", "")), str(labels.get("attack", "")), str(labels.get("budget", ""))


def flags(scores: Iterable[LabelledScore], warned: Iterable[Warned]) -> tuple[str, ...]:
    """Give the flags of some scores that belong together, each reason once, E before W."""
    own = list(scores)
    errors = dict.fromkeys(f"E: {each.void}" for each in own if each.void)
    kinds: dict[str, list[Warned]] = defaultdict(list)
    for each in warned:
        if any(each.concerns(score) for score in own):
            kinds[each.kind].append(each)
    return (*errors, *(f"W: {kind}: {_listed(several)}" for kind, several in kinds.items()))


def _listed(warned: Sequence[Warned]) -> str:
    more = [f"{len(warned) - NAMED} more"] * (len(warned) > NAMED)
    return "; ".join([*map(str, warned[:NAMED]), *more])


def warnings(
    rows: Sequence[RowSet], scores: Sequence[LabelledScore], budgets: Mapping[str, BudgetTable]
) -> list[Warned]:
    """Find every reason to be careful with a run's numbers."""
    records = {attacked(each.labels): each.arrays for each in rows if each.metric == RECORD and not each.void}
    found = [*_of_networks(rows), *_of_steps(scores)]
    for place, arrays in records.items():
        found += [Warned(kind, text, attacked=place) for kind, text in _of_record(arrays, budgets[place[2]])]
    found += _of_pairs(records, budgets)
    return list({(each.kind, each.network, each.attacked): each for each in reversed(found)}.values())[::-1]


NETWORKS = {
    "no_gradient": "the network cannot be differentiated: no attack by gradient is one on it",
    "zero_gradient": "the network's input gradient is zero (masked gradients?)",
    "saturated": "the cross entropy's gradient is zero, so large are the logits (use loss = margin)",
    "softmax": "the network gives probabilities, not logits",
    "randomised": "the network is randomised: attack its expectation, and read its scores as one draw",
}


def _of_networks(rows: Sequence[RowSet]) -> Iterator[Warned]:
    for each in rows:
        if each.metric != EXAMINED:
            continue
        network = each.labels["target"]
        if each.void:
            yield Warned("the network could not be examined", each.void, network)
            continue
        looked_at = each.arrays["examined"]
        for name, kind in NETWORKS.items():
            share = float(each.arrays.get(name, ~looked_at)[looked_at].mean())
            if share > 0:
                yield Warned(kind, f"{100 * share:.0f}% of {looked_at.sum()} images", network)


def _of_record(arrays: Rows, budget: BudgetTable) -> Iterator[tuple[str, str]]:
    """Warn of what the host recorded of one attack on one source."""
    counted = {
        "met a gradient of zero": arrays.get("zero_gradients", np.zeros(1)) > 0,
        "left images unchanged": (arrays["linf"] == 0) & (budget.eps > 0),
        "did not bring images to where it was to": arrays.get("reached", np.ones(1)) == 0,
    }
    for kind, these in counted.items():
        if these.any():
            yield kind, f"{100 * these.mean():.1f}% of images"
    if "margin" not in arrays or arrays["forwards"].mean() == 0 or budget.eps == 0:
        return  # of a version that did not ask, or no attack: it asks the network nothing
    lead, noise = arrays["margin"], arrays["margin_of_noise"]
    climb = lead - noise
    stops = "reached" in arrays  # at a goal of its own, which is not to fool by as much as the ball allows
    if not stops and not bootstrap(climb)[0] > 0:
        yield "noise of the same size does as well", f"mean margin {lead.mean():.3g}, of noise {noise.mean():.3g}"
    before = np.where(np.isnan(arrays["margin_before"]), lead, arrays["margin_before"])
    losing = lead <= 0
    gained = float((lead - before)[losing].sum()) / max(float(climb[losing].sum()), math.ulp(1))
    if losing.mean() > STILL_LOSING and gained > STILL_CLIMBING and bootstrap((lead - before)[losing])[0] > 0:
        found = f"{100 * losing.mean():.0f}% of images not fooled, {100 * gained:.0f}% of their gain in the last steps"
        yield "still climbing at its last step: give it more", found
    lost = (before > 0).astype(float) - (lead > 0)
    if not stops and bootstrap(lost)[0] > 0:
        yield LOST, f"{100 * lost.mean():.1f} points in its last steps"


LOST = "loses success on its own source"


def _of_steps(scores: Iterable[LabelledScore]) -> Iterator[Warned]:
    """Warn where an attack on its own source loses success between its best step and its last."""
    curves: dict[str, list[LabelledScore]] = defaultdict(list)
    for each in scores:
        if not each.void and "step" in each.labels and each.labels.get("relation") == "white-box":
            same = {name: value for name, value in each.labels.items() if name != "step"}
            curves[f"{each.metric} {same}"].append(each)
    for curve in curves.values():
        ordered = sorted(curve, key=lambda each: int(each.labels["step"]))
        best, last = max(ordered, key=lambda each: each.score.value), ordered[-1]
        first, end = best.score.per_image, last.score.per_image
        if first is None or end is None or best is last or len(first) != len(end):
            continue
        if bootstrap(first - end)[0] > 0:
            points = 100 * (best.score.value - last.score.value)
            found = (
                f"{points:.1f} points between step {best.labels['step']} and the last, target {last.labels['target']}"
            )
            yield Warned(LOST, found, attacked=attacked(last.labels))


def _of_pairs(records: Mapping[Attacked, Rows], budgets: Mapping[str, BudgetTable]) -> Iterator[Warned]:
    """Warn where what is to be the stronger of two attacks on one source is the weaker, the images paired."""
    for strong, ours in records.items():
        for weak, theirs in records.items():
            if (
                strong[0] != weak[0]
                or "margin" not in ours
                or "margin" not in theirs
                or len(ours["margin"]) != len(theirs["margin"])
            ):
                continue
            one_step = ours["backwards"].mean() > 1 >= theirs["backwards"].mean() > 0
            if strong[2] == weak[2] and one_step:
                kind = "an attack of a single step is stronger"
            elif strong[1] == weak[1] and _larger(budgets[strong[2]], budgets[weak[2]]):
                kind = "a smaller eps is stronger"
            else:
                continue
            difference = (theirs["margin"] > 0).astype(float) - (ours["margin"] > 0)
            if bootstrap(difference)[0] > 0:
                found = f"{weak[1]} in {weak[2]} by {100 * difference.mean():.1f} points of white-box success"
                yield Warned(kind, found, attacked=strong)


def _larger(one: BudgetTable, other: BudgetTable) -> bool:
    """Say whether two budgets differ in eps alone as to what is allowed, and the first is the larger."""
    return one.norm == other.norm and one.steps >= other.steps and one.eps > other.eps
