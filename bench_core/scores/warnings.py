"""Warnings about a run's numbers, derived from its rows and scores. An error makes a score void; a warning does not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..planning.accuracy import cause_of_chance
from ..reserved import EXAMINED, PREDICTED, RECORD
from ..statistics import surely_positive
from ..suite.budget import BudgetEntry
from ..suite.sweeps import without_eps
from .images import Unpairable, difference
from .labels import Labels
from .rows import Arrays, RowSet
from .scored import LabelledScore

NAMED = 3  # the number of attacks or networks that one line names; the others are counted
STILL_LOSING = 0.05  # if at most this share of images is not fooled, there is nothing left to gain
STILL_CLIMBING = 0.1  # the largest share of its gain over noise that a converged attack may make in its last steps

Attacked = tuple[str, str, str]  # source, attack, budget


@dataclass(frozen=True)
class Warned:
    """One warning, about a network or about an attack.

    Attributes:
        kind: What is wrong. Warnings of one kind are printed together.
        found: The numbers that it is based on.
        network: The network it is about, else empty.
        sources: The sources that this network is, or is a member of.
        of_source: Whether it only concerns attacks on the network, such as a warning about its gradient.
        attacked: The source, attack and budget it is about.
    """

    kind: str
    found: str = ""
    network: str = ""
    sources: frozenset[str] = frozenset()
    attacked: Attacked = ("", "", "")
    of_source: bool = False

    def concerns(self, score: LabelledScore) -> bool:
        """Return whether a score depends on what the warning is about."""
        if not self.network:
            source, attack, budget = self.attacked
            of_curve = (source, attack, without_eps(budget))  # the area under a curve is of all budgets of its sweep
            return attacked(score.labels) in ({self.attacked} if "eps" in score.labels else {self.attacked, of_curve})
        as_target = score.labels.target == self.network and not self.of_source
        return score.labels.source in self.sources or as_target

    def __str__(self) -> str:
        source, attack, budget = self.attacked
        about = self.network or f"{attack} on {source}, {budget}"
        return f"{about} ({self.found})" if self.found else about


def attacked(labels: Labels) -> Attacked:
    """Return the source, attack and budget of some labels; empty where not set."""
    return labels.source or "", labels.attack or "", labels.budget or ""


def flags(scores: Iterable[LabelledScore], warned: Iterable[Warned]) -> tuple[str, ...]:
    """Return a line for each error (E) and then for each kind of warning (W) that concerns any of the scores."""
    concerned = list(scores)
    errors = dict.fromkeys(f"E: {score.void}" for score in concerned if score.void)
    kinds: dict[str, list[Warned]] = defaultdict(list)
    for warning in warned:
        if any(warning.concerns(score) for score in concerned):
            kinds[warning.kind].append(warning)
    return (*errors, *(f"W: {kind}: {_listed(of_kind)}" for kind, of_kind in kinds.items()))


def _listed(warned: Sequence[Warned]) -> str:
    more = [f"{len(warned) - NAMED} more"] * (len(warned) > NAMED)
    return "; ".join([*map(str, warned[:NAMED]), *more])


def warnings(
    rows: Sequence[RowSet],
    scores: Sequence[LabelledScore],
    budgets: Mapping[str, BudgetEntry],
    members: Mapping[str, Sequence[str]],
    plain: Collection[str] = (),
) -> list[Warned]:
    """Return all warnings about a run's numbers; of several of one kind about one attack, the first.

    Args:
        rows: The rows of every metric.
        scores: The scores.
        budgets: The budgets of the suite.
        members: The models of each source.
        plain: The labels of the attacks that are plain gradient ascent, with which others are compared.
    """
    records = {attacked(row.labels): row for row in rows if row.metric == RECORD and not row.void}
    made = [*_of_accuracies(rows, members), *_of_networks(rows, members), *_of_steps(scores)]
    for key, record in records.items():
        made += [Warned(kind, text, attacked=key) for kind, text in _of_record(record.arrays, budgets[key[2]])]
    made += _of_pairs(records, budgets, plain)
    return list({(warning.kind, warning.network, warning.attacked): warning for warning in reversed(made)}.values())[
        ::-1
    ]


NETWORKS = {
    "no_gradient": "the network cannot be differentiated, so gradient attacks on it are meaningless",
    "zero_gradient": "the network's input gradient is zero (masked gradients?)",
    "saturated": "the cross entropy's gradient is zero because the logits are so large (use loss = margin)",
    "softmax": "the network gives probabilities, not logits",
    "randomised": "the network is randomised: attack its expectation, and read its scores as one random draw",
    "nan_gradient": "the network's input gradient is NaN or infinite, so attacks on it are void",
    "changes_images": "the network changes its input in place, of which bench gives it a copy",
    "changes_itself": "the network changes itself at every forward, so its answers may depend on those before",
    "float16": "the network answers in float16, of which bench makes float32: it is less exact than others",
    "bfloat16": "the network answers in bfloat16, of which bench makes float32: it is less exact than others",
    "float64": "the network answers in float64, of which bench makes float32",
}
OF_GRADIENT = {"no_gradient", "zero_gradient", "saturated", "nan_gradient"}  # they do not concern scores as a target
BATCH = "the network's answer for an image depends on the other images of the batch (batch statistics?)"


def _of_networks(rows: Sequence[RowSet], members: Mapping[str, Sequence[str]]) -> Iterator[Warned]:
    for row in rows:
        if row.metric != EXAMINED:
            continue
        network = row.labels["target"]
        sources = frozenset(source for source, names in members.items() if network in names)
        if row.void:
            yield Warned("the network could not be examined", row.void, network, sources)
            continue
        examined = row.arrays["examined"]
        for name, kind in NETWORKS.items():
            share = float(row.arrays.get(name, ~examined)[examined].mean())
            if share > 0:
                found = f"{100 * share:.0f}% of {examined.sum()} images"
                yield Warned(kind, found, network, sources, of_source=name in OF_GRADIENT)
        gap = float(row.arrays.get("batch_gap", np.zeros(1)).max())
        if gap > 0:
            yield Warned(BATCH, f"alone, by up to {100 * gap:.2g}% of its largest logit", network, sources)


def _of_accuracies(rows: Sequence[RowSet], members: Mapping[str, Sequence[str]]) -> Iterator[Warned]:
    """Warn where a network is no better than guessing on the clean images."""
    for row in rows:
        if row.metric != PREDICTED or row.void or "label" not in row.arrays:
            continue
        predicted, truth = row.arrays["predicted"], row.arrays["label"]
        cause = cause_of_chance(predicted, truth)
        if cause:
            network = row.labels["target"]
            sources = frozenset(source for source, names in members.items() if network in names)
            found = f"{100 * np.mean(predicted == truth):.1f}% of {len(truth)} clean images: {cause}"
            yield Warned("the network is no better than guessing", found, network, sources)


def _of_record(arrays: Arrays, budget: BudgetEntry) -> Iterator[tuple[str, str]]:
    """Warn about what the host recorded of one attack on one source."""
    if "given" in arrays:
        yield GIVEN, f"{len(arrays['given'])} images"
    stops = "reached" in arrays  # the attack has a goal of its own, and does not maximise the margin within the budget
    returns_clean = "all_or_nothing" in arrays
    may_stay = (arrays.get("reached", np.zeros(1)) == 1) | returns_clean
    counted = {
        "met a gradient of zero": arrays.get("zero_gradients", np.zeros(1)) > 0,
        UNCOUNTED: arrays.get("uncounted", np.zeros(1)) > 0,
        STOPPED: arrays.get("stopped", np.zeros(1)) > 0,
        BYPASSED: arrays.get("bypassed", np.zeros(1)) > 0,
        "left images unchanged": (arrays["linf"] == 0) & (budget.eps > 0) & ~may_stay,
        "did not reach its own goal": arrays.get("reached", np.ones(1)) == 0,
    }
    for kind, affected in counted.items():
        if affected.any():
            yield kind, f"{100 * affected.mean():.1f}% of images"
    if "margin" not in arrays or arrays["forwards"].mean() == 0 or budget.eps == 0:
        return  # recorded by an older version; or no attack, such as noise, which makes no pass through the network
    margin, noise = arrays["margin"], arrays["margin_of_noise"]
    climb = margin - noise
    more_by_noise = (noise > 0).astype(float) - (margin > 0)
    as_good = surely_positive(more_by_noise) if returns_clean else not surely_positive(climb)
    if not stops and as_good:
        yield "noise of the same size does as well", f"mean margin {margin.mean():.3g}, of noise {noise.mean():.3g}"
    before = np.where(np.isnan(arrays["margin_before"]), margin, arrays["margin_before"])
    losing = margin <= 0
    # above 1, or no share at all, where the steps before lowered the margin below that of noise
    gained = float((margin - before)[losing].sum()) / max(float(climb[losing].sum()), math.ulp(1))
    if losing.mean() > STILL_LOSING and gained > STILL_CLIMBING and surely_positive((margin - before)[losing]):
        share = f"{100 * min(gained, 1):.0f}% of their gain in the last steps"
        found = f"{100 * losing.mean():.0f}% of images not fooled, {share}"
        yield "still climbing at its last step: give it more steps", found
    lost = (before > 0).astype(float) - (margin > 0)
    if not stops and surely_positive(lost):
        yield LOST, f"{100 * lost.mean():.1f} points in its last steps"


GIVEN = "images given, not attacked here"
LOST = "loses success on its own source"
UNCOUNTED = "changed images without a counted pass through its source, so its cost is unknown"
STOPPED = "was stopped when it had spent the budget's passes: what it had found until then counts"
BYPASSED = "ran layers of its source outside of a call (model.forward(x) in place of model(x)?), which are not counted"


def _of_steps(scores: Iterable[LabelledScore]) -> Iterator[Warned]:
    """Warn where an attack's white-box success is lower at its last step than at its best step."""
    curves: dict[tuple[str, Labels], list[LabelledScore]] = defaultdict(list)
    for score in scores:
        if not score.void and "step" in score.labels and score.white_box:
            curves[score.metric, score.labels.without({"step"})].append(score)
    for curve in curves.values():
        ordered = sorted(curve, key=lambda score: int(score.labels["step"]))
        best, last = max(ordered, key=lambda score: score.score.value), ordered[-1]
        if best is last:
            continue
        try:
            lost = difference(best.per_image, last.per_image)
        except Unpairable:
            continue
        if surely_positive(lost.values):
            points = 100 * (best.score.value - last.score.value)
            step, target = best.labels["step"], last.labels["target"]
            found = f"{points:.1f} points between step {step} and the last, target {target}"
            yield Warned(LOST, found, attacked=attacked(last.labels))


def _of_pairs(
    records: Mapping[Attacked, RowSet], budgets: Mapping[str, BudgetEntry], plain: Collection[str]
) -> Iterator[Warned]:
    """Warn where the attack that should be the stronger of two on one source fools fewer images, paired by image.

    An attack should be as strong as plain gradient ascent, or as a single step, that makes no more passes through the
    network, unless it stops at a goal of its own.
    """
    for strong, stronger in records.items():
        for weak, weaker in records.items():
            paired = strong[0] == weak[0] and stronger.images == weaker.images
            if not paired or "margin" not in stronger.arrays or "margin" not in weaker.arrays:
                continue
            may_be_weaker = "reached" in stronger.arrays or _passes(stronger) < _passes(weaker) or strong[2] != weak[2]
            one_step = _passes(stronger) > _passes(weaker) and 1 >= weaker.arrays["backwards"].mean() > 0
            if not may_be_weaker and one_step:
                kind = "an attack of a single step is stronger"
            elif not may_be_weaker and strong[1] not in plain and weak[1] in plain:
                kind = "plain gradient ascent is stronger"
            elif strong[1] == weak[1] and _larger(budgets[strong[2]], budgets[weak[2]]):
                kind = "a smaller eps is stronger"
            else:
                continue
            gap = (weaker.arrays["margin"] > 0).astype(float) - (stronger.arrays["margin"] > 0)
            if surely_positive(gap):
                found = f"{weak[1]} in {weak[2]} by {100 * gap.mean():.1f} points of white-box success"
                yield Warned(kind, found, attacked=strong)


def _passes(record: RowSet) -> float:
    """Return the forward and backward passes of an attack for one image."""
    return float((record.arrays["forwards"] + record.arrays["backwards"]).mean())


def _larger(first: BudgetEntry, second: BudgetEntry) -> bool:
    """Return whether the first budget has the larger eps, under the same norm and with at least as many steps."""
    return first.norm == second.norm and first.steps >= second.steps and first.eps > second.eps
