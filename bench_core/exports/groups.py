"""What is exported of a run: the images of some attacks on some sources after some step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..errors import Fault, UsageError, did_you_mean
from ..files import safe_name
from ..planning.jobs import PlannedJob
from ..planning.planner import selected_jobs
from ..planning.resolve import ResolvedSuite
from ..planning.selection import Selection
from ..result import Result
from ..suite.exchange import KeepEntry
from ..suite.model import Suite, members, source_label
from ..suite.outputs import NO_OUTPUTS
from ..types import Metric

LAST: Literal["last"] = "last"
BEST = "best"
Step = int | Literal["last"]


@dataclass(frozen=True)
class Request:
    """What the user asks for; empty tuples and None mean all that there is.

    Attributes:
        attacks: Labels of attacks.
        sources: Labels of sources.
        budgets: Labels of budgets.
        steps: Steps: "last", "best" or numbers counted from 1.
        images: The number of images, the first of the run.
        npz: Whether to write .npz files in place of PNG files.
        clean: Whether to write the clean images too.
    """

    attacks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    steps: tuple[str, ...] = (LAST,)
    images: int | None = None
    npz: bool = False
    clean: bool = True


@dataclass(frozen=True)
class Group:
    """The images of one attack on one source within one budget, after one step."""

    source: str
    attack: str
    budget: str
    step: Step

    @property
    def folder(self) -> str:
        """The folder of its images below that of the export."""
        step = self.step if isinstance(self.step, str) else f"step-{self.step}"
        return "/".join([*map(safe_name, (self.source, self.attack, self.budget)), step])

    def __str__(self) -> str:
        return f"{self.attack} on {self.source}, {self.budget}, step {self.step}"


def narrowed(suite: Suite, request: Request) -> Suite:
    """Return the suite with the attacks and sources of a request only, without any metric.

    Raises UsageError for a label that the suite lacks.
    """
    sources = {source_label(source): source for source in suite.sources}
    if not suite.attacks or not sources:
        raise UsageError(Fault(suite.name, "", "the run attacks nothing, so that it has no images to export"))
    _check("--attack", request.attacks, list(suite.attacks))
    _check("--source", request.sources, list(sources))
    _check("--budget", request.budgets, list(suite.budgets))
    attacks = {label: entry for label, entry in suite.attacks.items() if label in (request.attacks or suite.attacks)}
    chosen = [source for label, source in sources.items() if label in (request.sources or sources)]
    used = {member for source in chosen for member in members(source)}
    nothing: dict[str, Any] = {
        **NO_OUTPUTS, "metrics": {}, "targets": [], "given": {},
        "images": suite.images.model_copy(update={"models": "sources"}),
        "models": {label: suite.models[label] for label in _with_parts(suite, used)},
    }  # fmt: skip
    return suite.model_copy(update={**nothing, "attacks": attacks, "sources": chosen})


def _check(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for label in given:
        if label not in known:
            raise UsageError(Fault(option, "", f'unknown name "{label}" {did_you_mean(label, known)}'))


def _with_parts(suite: Suite, used: set[str]) -> list[str]:
    """Return the labels of models and of all models that they may be made of, which their options name."""
    waiting, found = list(used), list[str]()
    while waiting:
        label = waiting.pop()
        if label in found:
            continue
        found.append(label)
        values = suite.models[label].options.values()
        named = [name for value in values for name in (value if isinstance(value, list) else [value])]
        waiting += [name for name in named if isinstance(name, str) and name in suite.models]
    return [label for label in suite.models if label in found]


def find_groups(
    resolved: ResolvedSuite, result: Result, metrics: Mapping[str, Metric], request: Request
) -> list[Group]:
    """Return the groups of images that a request asks for.

    Args:
        resolved: The narrowed suite.
        result: The run.
        metrics: The metrics of the run, which say whose scores have a step.
        request: What is asked for.

    Raises:
        UsageError: Nothing is left, a step is no number, or the run has no scores by step.
    """
    groups: list[Group] = []
    for attack, source, budget in resolved.attacks:
        if budget in (request.budgets or (budget,)):
            for step in request.steps:
                group = Group(source, attack, budget, _step(step, result, metrics, (source, attack, budget)))
                groups += [] if group in groups else [group]
    if not groups:
        raise UsageError(Fault(resolved.suite.name, "", "no attack of the run has this source and budget"))
    taken: dict[str, Group] = {}
    for group in groups:
        other = taken.setdefault(group.folder.casefold(), group)
        if other is not group:
            message = f"{group} and {other} would be in one folder (export one of them at a time)"
            raise UsageError(Fault(resolved.suite.name, "", message))
    return groups


def _step(text: str, result: Result, metrics: Mapping[str, Metric], key: tuple[str, str, str]) -> Step:
    """Return the step that a text names, for the attack with a source, attack and budget."""
    last = _steps(result, metrics, key)
    if text == LAST:
        return LAST
    step = _best(result, metrics, key) if text == BEST else _number(text)
    if last is not None and step > last:
        raise UsageError(Fault("--step", "", f"found {step}, but {key[1]} on {key[0]} has {last} steps"))
    return LAST if step == last else step


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(Fault("--step", "", f'found "{text}" (try last, best, or a number from 1)'))
    return int(text)


def _curve(result: Result, metrics: Mapping[str, Metric], key: tuple[str, str, str]) -> dict[int, float]:
    """Return the mean score of each step over black-box targets, or over all if there is none but the source."""
    names = [f"{label}.{name}" for label, metric in metrics.items() for name in _by_step(metric).values()]
    where = dict(zip(("source", "attack", "budget"), key, strict=True))
    for name in names:
        scores = result.scores.select(name, where).valid()
        used = scores.black_box() or scores
        steps = dict.fromkeys(int(score.labels["step"]) for score in used)
        if steps:
            return {
                step: float(np.mean([score.score.value for score in used if int(score.labels["step"]) == step]))
                for step in steps
            }
    return {}


def _by_step(metric: Metric) -> Mapping[str, str]:
    return dict(getattr(metric, "by_step", {}))


def _steps(result: Result, metrics: Mapping[str, Metric], key: tuple[str, str, str]) -> int | None:
    """Return how many steps an attack has; None if no metric of the run observed each of them."""
    return max(_curve(result, metrics, key), default=None)


def _best(result: Result, metrics: Mapping[str, Metric], key: tuple[str, str, str]) -> int:
    curve = _curve(result, metrics, key)
    if not curve:
        message = "no metric of the run has a score of every step (try --step last, or a number)"
        raise UsageError(Fault("--step best", "", message))
    return max(curve, key=lambda step: (curve[step], -step))


def group_jobs(resolved: ResolvedSuite, selection: Selection, group: Group, images: int) -> list[PlannedJob]:
    """Return the jobs that keep the images of a group: those of the first `images` images."""
    key = group.attack, group.source, group.budget
    keep = KeepEntry(images=images, steps=[group.step])
    suite = resolved.suite.model_copy(update={"keep": keep})
    narrow = replace(resolved, suite=suite, attacks={key: resolved.attacks[key]})
    jobs = [job for job in selected_jobs(narrow, selection) if job.labels.get("attack") is not None]
    return [job for job in jobs if job.round * suite.compute.micro_batch < images]
