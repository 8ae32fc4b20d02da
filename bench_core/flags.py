"""What a leaderboard says beside a number: E voids a score, W makes a reader careful."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .scores import LabelledScore
from .statistics import bootstrap
from .suite import RECORD


def flags(scores: Iterable[LabelledScore], belongs: Callable[[LabelledScore], bool]) -> tuple[str, ...]:
    """Give the flags of those scores that belong to one entry, each reason once, E before W."""
    own = [each for each in scores if belongs(each)]
    errors = [f"E: {each.void}" for each in own if each.void]
    warnings = [f"W: {text}" for text in (*_of_record(own), *_of_steps(own)) if text]
    return tuple(dict.fromkeys([*errors, *warnings]))


def _of_record(scores: Iterable[LabelledScore]) -> Iterable[str]:
    """Warn of what the host recorded of an attack: gradients of zero, images that it left as they were."""
    zero = _joined(scores, f"{RECORD}.zero_gradients") > 0
    unchanged = _joined(scores, f"{RECORD}.linf") == 0
    short = _joined(scores, f"{RECORD}.reached") == 0
    for found, what in (
        (zero, "met a gradient of zero"),
        (unchanged, "left unchanged"),
        (short, "not brought to where the attack was to bring them"),
    ):
        if found.any():
            yield f"{100 * found.mean():.1f}% of images {what}"


def _joined(scores: Iterable[LabelledScore], metric: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = [e.score.per_image for e in scores if e.metric == metric and not e.void and e.score.per_image is not None]
    return np.concatenate([np.empty(0), *values])


def _of_steps(scores: Iterable[LabelledScore]) -> Iterable[str]:
    """Warn where an attack on its own source loses success between its best step and its last."""
    steps: dict[str, list[LabelledScore]] = {}
    for each in scores:
        if not each.void and "step" in each.labels and each.labels.get("relation") == "white-box":
            same = {name: value for name, value in each.labels.items() if name != "step"}
            steps.setdefault(f"{each.metric} {same}", []).append(each)
    for curve in steps.values():
        ordered = sorted(curve, key=lambda each: int(each.labels["step"]))
        best, last = max(ordered, key=lambda each: each.score.value), ordered[-1]
        first, end = best.score.per_image, last.score.per_image
        if first is None or end is None or best is last or len(first) != len(end):
            continue
        if bootstrap(first - end)[0] > 0:
            lost = 100 * (best.score.value - last.score.value)
            yield f"loses {lost:.1f} points on its own source between step {best.labels['step']} and the last"
