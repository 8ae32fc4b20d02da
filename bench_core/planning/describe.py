"""A plan, said in words and as JSON; with its cost in time and memory, where that was estimated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tabulate import tabulate

from ..errors import one_line
from .cost import Estimate
from .jobs import PlannedJob
from .plan import Plan
from .planner import evaluations
from .weights import fetching, human

GROUPS = ("source", "attack", "budget")
PASSES = ("forwards", "backwards", "evaluations")
CLEAN = "clean images"
Group = dict[str, Any]


def plan_record(plan: Plan, estimate: Estimate | None = None) -> dict[str, Any]:
    """Give a plan as JSON: totals, and the cost of each source, attack and budget."""
    resolved = plan.resolved
    groups = grouped(plan, estimate) if resolved.images is not None else unplanned(plan)
    return {
        "suite": resolved.suite.name,
        "profile": resolved.suite.profile,
        "title": resolved.suite.title,
        "models": {label: model.description for label, model in resolved.models.items()},
        "images": None if resolved.images is None else len(resolved.images.ids),
        "data_missing": resolved.data_missing if resolved.images is None else None,
        "weights_missing": [
            {"model": label, "file": file.path, "url": file.url, "bytes": file.size}
            for label, files in resolved.missing_weights.items() for file in files
        ],
        "fetch": fetching(resolved.suite),
        "selection": plan.selection.digest if plan.selection else None,
        "selected": len(plan.selection.ids) if plan.selection else resolved.count,
        "jobs": len(plan.jobs),
        "cells": plan.cells,
        "stored": plan.cells_stored,
        "groups": groups,
        "attacks": [
            {
                "source": source, "attack": attack, "budget": budget, "options": use.spec.options,
                "forwards_per_image": use.cost.total(resolved.suite.budgets[budget].steps)[0],
                "backwards_per_image": use.cost.total(resolved.suite.budgets[budget].steps)[1],
                "global_seed": use.global_seed, "deviations": use.deviations,
            }
            for (attack, source, budget), use in resolved.attacks.items()
        ],
        "estimate": None if estimate is None else {
            "seconds": sum(group["seconds"] for group in groups) / estimate.workers,
            "workers": estimate.workers,
            "peak_bytes": estimate.peak_bytes,
            "unknown": estimate.voids,
        },
    }  # fmt: skip


def grouped(plan: Plan, estimate: Estimate | None) -> list[Group]:
    """Add up the jobs of each source, attack and budget. `assumed`: nobody says what the attack costs."""
    groups: dict[tuple[str, ...], Group] = defaultdict(lambda: defaultdict(float))
    for job in plan.jobs:
        labels = job.labels
        group = groups[labels.get("source", CLEAN), labels.get("attack", ""), labels.get("budget", "")]
        missing = plan.missing(job)
        passes, assumed = passes_of(job, plan, estimate)
        group["assumed"] = assumed
        group["cells"] += len(job.cells)
        group["stored"] += len(job.cells) - len(missing)
        if "attack" in labels:
            group["images"] += job.images
        for name, much in passes.items():
            group[name] += much
        group["forwards_to_do"] += passes["forwards"] + passes["evaluations"] if missing else 0
        group["backwards_to_do"] += passes["backwards"] if missing else 0
        if estimate is not None:
            group["seconds"] += estimate.seconds(job) if missing else 0
    return [dict(zip(GROUPS, key, strict=True)) | group for key, group in groups.items()]


def passes_of(job: PlannedJob, plan: Plan, estimate: Estimate | None) -> tuple[dict[str, float], bool]:
    """Give a job's passes, as its attack declares them; where it declares none, as counted, or else one a step."""
    passes = dict(zip(PASSES, (*job.cost, job.evaluations), strict=True))
    if "attack" not in job.labels:
        return passes, False
    use = plan.resolved.attacks[job.labels["attack"], job.labels["source"], job.labels["budget"]]
    pace = estimate.pace(job) if estimate and use.cost_assumed else None
    if pace:
        passes |= {"forwards": pace.passes[0] * job.images, "backwards": pace.passes[1] * job.images}
    return passes, use.cost_assumed and not pace


def unplanned(plan: Plan) -> list[Group]:
    """Give the passes for so many images as the suite wants, where there are no images to plan for."""
    resolved = plan.resolved
    made: list[Group] = []
    for (attack, source, budget), use in resolved.attacks.items():
        steps = resolved.suite.budgets[budget].steps
        each = dict(zip(PASSES, (*use.cost.total(steps), evaluations(resolved, steps)), strict=True))
        total = {name: much * resolved.count for name, much in each.items()}
        to_do = {"forwards_to_do": total["forwards"] + total["evaluations"], "backwards_to_do": total["backwards"]}
        group = {"source": source, "attack": attack, "budget": budget, "images": resolved.count}
        made.append({**group, **total, **to_do, "assumed": use.cost_assumed})
    return made


def missing_weights(record: dict[str, Any]) -> list[str]:
    """Say which weights are not here, and how they come here."""
    missing = record["weights_missing"]
    if not missing:
        return []
    count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
    told = [f"weights: {count} missing (`{record['fetch']}` gets those with an address)"]
    for each in missing:
        size = f", {human(each['bytes'])}" if each["bytes"] else ""
        told.append(f"  {each['model']}: {each['file']} ({each['url'] or 'yours: put it there'}{size})")
    return told


def plan_text(plan: Plan, estimate: Estimate | None = None) -> str:
    """Say a plan on a terminal."""
    record = plan_record(plan, estimate)
    lines = [f"{record['title']}", f"profile {record['profile']}, {len(record['models'])} models", images(record)]
    lines += [*missing_weights(record), ""]
    lines += [table(record), "", *notes(record)]
    return "\n".join(one_line(line) if "\n" not in line else line for line in lines)


def images(record: Mapping[str, Any]) -> str:
    if record["data_missing"]:
        return f"images: missing: {record['data_missing']}; the suite wants {record['selected']}"
    if record["selection"]:
        return f"images: {record['selected']} selected of {record['images']}, list {record['selection'][:12]}"
    return f"images: up to {record['selected']} of {record['images']}, chosen once the clean images are classified"


def table(record: Mapping[str, Any]) -> str:
    counts = [*([] if record["data_missing"] else ["cells", "stored"]), *PASSES]
    timed = record["estimate"] is not None
    rows = [
        [
            *(group[name] for name in GROUPS),
            *(f"{'~' * (group['assumed'] and name in PASSES[:2])}{group.get(name, 0):,.0f}" for name in counts),
            *([duration(group["seconds"] / record["estimate"]["workers"])] if timed else []),
        ]
        for group in record["groups"]
    ]
    head = [*GROUPS, *counts, *(["time"] if timed else [])]
    align = ["left"] * 3 + ["right"] * (len(head) - 3)
    return tabulate(rows, head, "simple", disable_numparse=True, colalign=align if rows else None)


def notes(record: Mapping[str, Any]) -> Iterator[str]:
    groups = record["groups"]
    seeded = sorted({each["attack"] for each in record["attacks"] if each["global_seed"]})
    if seeded:
        yield f"randomness from the global seed, so dependent on the micro-batch: {', '.join(seeded)}"
    for attack, deviations in sorted({each["attack"]: each["deviations"] for each in record["attacks"]}.items()):
        if deviations:
            yield f"{attack} does not keep every rule of bench check: {', '.join(sorted(deviations))}"
    if any(group["assumed"] for group in groups):
        yield "~: the attack does not say what it costs, so one pass a step is assumed (--cost counts)"
    if record["data_missing"]:
        yield f"for {record['selected']:,} images: {to_do(groups)}, beside the classification of the clean ones"
    else:
        counts = f"{record['jobs']} jobs, {record['cells']} cells, {record['stored']} of them stored"
        yield f"{counts}; to do: {to_do(groups)}"
    if record["estimate"]:
        yield from costs(record["estimate"])


def to_do(groups: list[Group]) -> str:
    forwards, backwards = (sum(group[f"{name}_to_do"] for group in groups) for name in PASSES[:2])
    return f"{forwards:,.0f} forwards, {backwards:,.0f} backwards"


def costs(estimate: Mapping[str, Any]) -> Iterator[str]:
    workers, peak = estimate["workers"], estimate["peak_bytes"]
    memory = f", {peak / 1e6:,.0f} MB of memory in each at its peak" if peak else ""
    each = "1 worker" if workers == 1 else f"{workers} workers"
    yield f"estimated time on this machine: {duration(estimate['seconds'])} with {each}, beside their start{memory}"
    for reason in estimate["unknown"]:
        yield f"without what could not be measured: {reason}"


def duration(seconds: float) -> str:
    """Say a time span with two digits that count."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
