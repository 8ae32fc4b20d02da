"""The regression gate: is a new run, image by image, worse than a base? Arithmetic on two snapshots.

If everything that outcomes depend on is equal, outcomes must be equal, and any difference is nondeterminism. Otherwise
a score regressed if its change in the harmful direction is larger than its margin and significant: by McNemar's exact
test if outcomes are 0 or 1, else by the paired bootstrap, with Holm's correction over all gated scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError, stop_at_faults
from ..scores.paired import bootstrap_p, holm, mcnemar, smallest_drop, smallest_mean_drop
from ..scores.scored import covers
from ..statistics import bootstrap
from ..suite.outputs import GateEntry
from .snapshot import GatedScore, Snapshot, shortened

ALPHA, POWER = 0.05, 0.8
MARGIN = 0.01  # the default for a proportion of images: one percentage point
VERSION_KEY = "versions.adversarial-bench"  # in baselines of 0.1; versions do not change outcomes, code does
Status = Literal["regression", "nondeterministic", "void", "missing", "no regression"]
FAILURES: tuple[Status, ...] = ("regression", "nondeterministic", "void", "missing")
DEFAULTS = {"access": "gradients"}  # of keys of a budget that are not empty by default


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on one score.

    Attributes:
        metric: The score's name.
        labels: The score's labels.
        status: The verdict.
        better_is: "higher" or "lower".
        share: Whether the score is a proportion of images.
        base: The base's value.
        new: The new run's value.
        change: new - base.
        low: The lower end of the paired 95% interval of `change`.
        high: The upper end.
        n: How many images were compared.
        worse: How many images changed in the harmful direction.
        better: How many images changed in the other direction.
        p: The one-sided p-value, without correction.
        adjusted: The p-value with Holm's correction.
        smallest: The smallest harmful change that would have been detected with the comparison's power.
        margin: The largest harmful change that is tolerated.
        reason: Why the score failed.
    """

    metric: str
    labels: Mapping[str, str]
    status: Status
    better_is: str
    share: bool = True
    base: float = math.nan
    new: float = math.nan
    change: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    worse: int = 0
    better: int = 0
    p: float = math.nan
    adjusted: float = math.nan
    smallest: float = math.nan
    margin: float = MARGIN
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.status in FAILURES

    @property
    def name(self) -> str:
        return " ".join([self.metric, *(f"{name}={value}" for name, value in self.labels.items())])

    @property
    def harm(self) -> float:
        """The change in the harmful direction; negative if the score improved."""
        return -self.change if self.better_is == "higher" else self.change


@dataclass(frozen=True)
class Comparison:
    """The verdicts on all gated scores.

    Attributes:
        base: The name of the base.
        new: The name of the new run.
        suite: The suite's name.
        differs: The names of the things that outcomes depend on and in which the two differ.
        verdicts: The verdicts, worst first.
        ungated: The new run's scores that the base does not gate.
        alpha: The probability of a false alarm, over all scores together.
        power: The probability with which `Verdict.smallest` is detected.
    """

    base: str
    new: str
    suite: str
    differs: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    ungated: tuple[str, ...]
    alpha: float = ALPHA
    power: float = POWER

    @property
    def identical(self) -> bool:
        """Whether everything that outcomes depend on is equal, so that they must be equal."""
        return not self.differs

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.failed)


def compare(base: Snapshot, new: Snapshot, alpha: float = ALPHA, power: float = POWER) -> Comparison:
    """Compare a new run with a base, by the base's gate.

    Args:
        base: The base.
        new: The new run.
        alpha: The probability of a false alarm, over all scores together.
        power: The probability with which the smallest detectable drop is detected.

    Raises:
        UsageError: The two differ in their images or budgets, or have no gated score in common.
    """
    if base.rounded or new.rounded:
        base, new = shortened(base), shortened(new)
    stop_at_faults([*_different_threat(base, new), *_different_images(base, new)])
    names = {*base.fingerprint, *new.fingerprint} - {VERSION_KEY}
    differs = tuple(sorted(name for name in names if base.fingerprint.get(name) != new.fingerprint.get(name)))
    new_scores = {score.key: score for score in new.scores}
    gated = [score for score in base.scores if score.metric in base.gate and not score.void]
    if not any(score.key in new_scores for score in gated):
        raise UsageError(Fault(new.name, "", f"has none of the scores that {base.name} gates"))
    pairs = [(score, new_scores.get(score.key) or _void_of(score, new)) for score in gated]
    stop_at_faults([fault for a, b in pairs if b and not b.void for fault in _different_images_of(a, b, base, new)])
    level = alpha / max(1, sum(1 for _, b in pairs if b and not b.void))
    verdicts = [_verdict(a, b, base.gate[a.metric], not differs, level, power) for a, b in pairs]
    verdicts = _corrected(verdicts, alpha)
    known = {score.key for score in gated}
    ungated = tuple(sorted(score.name for score in new.scores if score.key not in known and not score.void))
    return Comparison(
        base.name, new.name, base.suite, differs, tuple(sorted(verdicts, key=_worst_first)), ungated, alpha, power
    )


def _different_threat(base: Snapshot, new: Snapshot) -> Iterator[Fault]:
    for key, old in base.threat.items():
        for name, base_value, new_value in _differing(key, old, new.threat.get(key)):
            message = f"found {new_value}, but {base.name} has {base_value}: not the same threat"
            yield Fault(new.name, name, message)


def _differing(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted key and both values of every entry in which two tables differ."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new:
            yield key, old, new
        return
    for name in dict.fromkeys([*old, *new]):
        given = old.get(name) or new.get(name)
        if (name in old) != (name in new) and given in (None, {}, [], DEFAULTS.get(name)):
            continue  # the default of a key that a record of an earlier version does not have
        yield from _differing(f"{key}.{name}", old.get(name), new.get(name))


def _different_images(base: Snapshot, new: Snapshot) -> Iterator[Fault]:
    old_ids, new_ids = set(base.ids), set(new.ids)
    if old_ids != new_ids:
        yield Fault(
            new.name, "images",
            f"attacks other images than {base.name}: {len(new_ids)} against {len(old_ids)}, "
            f"{len(old_ids & new_ids)} in common. Runs are compared on the same images. "
            'If the selection depends on a network that changed, select by other networks '
            '(images.models) or use all images (images.rule = "all")',
        )  # fmt: skip


def _different_images_of(a: GatedScore, b: GatedScore, base: Snapshot, new: Snapshot) -> Iterator[Fault]:
    if set(a.ids) != set(b.ids):
        common = len(set(a.ids) & set(b.ids))
        message = f"is measured on other images: {len(b.ids)} against {len(a.ids)} in {base.name}, {common} in common"
        yield Fault(new.name, a.name, message)


def _void_of(score: GatedScore, new: Snapshot) -> GatedScore | None:
    """Return the void score in place of `score`. A metric that is void as a whole lacks the labels that it adds."""
    for other in new.scores:
        if other.void and covers(other.metric, score.metric) and other.labels.items() <= score.labels.items():
            return other
    return None


def aligned(a: GatedScore, b: GatedScore) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values [n] of two scores over the same images, in the order of `a.ids`."""
    position = {image: index for index, image in enumerate(b.ids)}
    return a.values, b.values[[position[image] for image in a.ids]]


def _verdict(
    a: GatedScore, b: GatedScore | None, gate: GateEntry, identical: bool, level: float, power: float
) -> Verdict:
    blank = Verdict(a.metric, a.labels, "missing", gate.better)
    if b is None:
        return replace(blank, base=float(np.mean(a.values)), n=len(a.ids), reason="the new run has no such score")
    if b.void:
        return replace(blank, status="void", base=float(np.mean(a.values)), n=len(a.ids), reason=b.void)
    old, new = aligned(a, b)
    harm = old - new if gate.better == "higher" else new - old
    share = a.binary and b.binary
    margin = gate.margin if gate.margin is not None else (MARGIN if share else 0.0)
    worse, better = int(np.sum(harm > 0)), int(np.sum(harm < 0))
    low, high = bootstrap(new - old)
    numbers: dict[str, Any] = {
        "share": share, "base": float(old.mean()), "new": float(new.mean()), "change": float((new - old).mean()),
        "low": low, "high": high, "n": len(old), "worse": worse, "better": better, "margin": margin,
    }  # fmt: skip
    if identical:
        flips = worse + better
        reason = f"{flips} of {len(old)} outcomes changed although the setups are identical" if flips else ""
        status: Status = "nondeterministic" if flips else "no regression"
        return replace(blank, status=status, smallest=1 / len(old), reason=reason, **numbers)
    if share:
        p, smallest = mcnemar(worse, better), smallest_drop(len(old), worse + better, level, margin, power)
    else:
        p, smallest = bootstrap_p(harm), smallest_mean_drop(harm, level, margin, power)
    return replace(blank, status="no regression", p=p, smallest=smallest, **numbers)


def _corrected(verdicts: list[Verdict], alpha: float) -> list[Verdict]:
    """Correct the p-values of all tested scores together, and mark the regressions."""
    tested = [index for index, verdict in enumerate(verdicts) if not math.isnan(verdict.p)]
    for index, adjusted in zip(tested, holm([verdicts[index].p for index in tested]), strict=True):
        verdict = replace(verdicts[index], adjusted=adjusted)
        if adjusted <= alpha and verdict.harm > verdict.margin + 1e-12:
            counts = f"worse on {verdict.worse} images, better on {verdict.better}"
            reason = f"{counts}; p = {adjusted:.2g} with Holm's correction"
            verdict = replace(verdict, status="regression", reason=reason)
        verdicts[index] = verdict
    return verdicts


def _worst_first(verdict: Verdict) -> tuple[Any, ...]:
    order = ("void", "missing", "regression", "nondeterministic", "no regression").index(verdict.status)
    return order, -verdict.harm if not math.isnan(verdict.harm) else 0.0, verdict.name


def explain(comparison: Comparison) -> list[str]:
    """Return sentences that describe how the comparison was made and what it could detect."""
    verdicts = comparison.verdicts
    lines = [f"{len(comparison.failures)} of {len(verdicts)} gated scores failed"]
    if comparison.identical:
        lines.append(
            "machine, libraries, code, networks and suite are the same: outcomes must be identical, image by image"
        )
        return lines
    lines.append(f"different: {', '.join(comparison.differs)}")
    lines.append(
        "a score fails if it is worse by more than its margin and significantly so: one-sided exact McNemar test "
        f"(proportions) or paired bootstrap (means), alpha = {comparison.alpha:g} with Holm's correction over "
        f"{len(verdicts)} scores"
    )
    lines.append(
        "detectable: the smallest harmful change that would have been detected with "
        f"{100 * comparison.power:.0f}% power, if as many images change by chance as did here"
    )
    if comparison.ungated:
        lines.append(f"{len(comparison.ungated)} scores of the new run are not in the base, so they are not gated")
    return lines
