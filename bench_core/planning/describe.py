"""Converts a plan to JSON: what a run would compute, what is stored, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..types import Json
from .accuracy import ENOUGH
from .cost import Estimate
from .dataset_share import classifies_all
from .jobs import AttackJob, PlannedJob
from .plan import Plan
from .planner import FIRST_IMAGES, evaluations
from .resolve import ResolvedSuite
from .selection import needs_no_predictions
from .weights import fetch_command

GROUPS = ("source", "attack", "budget")
PASSES = ("forwards", "backwards", "evaluations")
CLEAN = "clean images"
Group = dict[str, Any]


def plan_record(plan: Plan, estimate: Estimate | None = None) -> Json:
    """Return a plan as JSON: totals, and the cost of each source, attack and budget."""
    resolved = plan.resolved
    groups = grouped(plan, estimate) if resolved.images is not None else unplanned(plan)
    return {
        "suite": resolved.suite.name,
        "profile": resolved.suite.profile,
        "title": resolved.suite.title,
        "models": {label: model.description for label, model in resolved.models.items()},
        "images": None if resolved.images is None else len(resolved.images.ids),
        "data_missing": resolved.data_missing if resolved.images is None else None,
        "notes": list(resolved.notes),
        "weights_missing": [
            {"model": label, "file": file.path, "url": file.url, "bytes": file.size}
            for label, files in resolved.missing_weights.items() for file in files
        ],
        "fetch": fetch_command(resolved.suite),
        "classified": classified(resolved),
        "selection": plan.selection.digest if plan.selection else None,
        "selected": len(plan.selection.ids) if plan.selection else resolved.count,
        "jobs": len(plan.jobs),
        "cells": plan.cells,
        "stored": plan.cells_stored,
        "groups": groups,
        "attacks": [
            {
                "source": source, "attack": attack, "budget": budget, "options": use.spec.options,
                "steps": use.budget.steps, "forwards_per_image": use.passes[0], "backwards_per_image": use.passes[1],
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


def classified(resolved: ResolvedSuite) -> Json | None:
    """Return how many clean images are classified: before the attacks at least, and in all at most; None if unknown."""
    if resolved.images is None:
        return None
    total, checked = len(resolved.images.labels), any(m.expected_accuracy for m in resolved.suite.models.values())
    first = 0 if needs_no_predictions(resolved) else min(resolved.count, total)
    if classifies_all(resolved):
        least = min(FIRST_IMAGES, total) if first or checked else 0
        return {"first": max(first, least), "all": total}
    return {"first": max(first, ENOUGH if checked and resolved.limit is None else 0), "all": None}


def grouped(plan: Plan, estimate: Estimate | None) -> list[Group]:
    """Sum the jobs of each source, attack and budget. `assumed`: the passes are neither declared nor counted."""
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
        for name, count in passes.items():
            group[name] += count
        group["forwards_to_do"] += passes["forwards"] + passes["evaluations"] if missing else 0
        group["backwards_to_do"] += passes["backwards"] if missing else 0
        if estimate is not None:
            group["seconds"] += estimate.seconds(job) if missing else 0
    return [dict(zip(GROUPS, key, strict=True)) | group for key, group in groups.items()]


def passes_of(job: PlannedJob, plan: Plan, estimate: Estimate | None) -> tuple[dict[str, float], bool]:
    """Return the passes of a job, and whether they are assumed.

    The passes are those that the attack declares, else those that the estimate counted, else one of each per step.
    """
    passes = dict(zip(PASSES, (*job.cost, job.evaluations), strict=True))
    if not isinstance(job.job, AttackJob):
        return passes, False
    use = plan.resolved.attacks[job.labels["attack"], job.labels["source"], job.labels["budget"]]
    pace = estimate.pace(job) if estimate and use.cost_assumed else None
    if pace:
        passes |= {"forwards": pace.passes[0] * job.images, "backwards": pace.passes[1] * job.images}
    return passes, use.cost_assumed and not pace


def unplanned(plan: Plan) -> list[Group]:
    """Return the groups if the images are missing, with the passes for as many images as the suite uses."""
    resolved = plan.resolved
    groups: list[Group] = []
    for (attack, source, budget), use in resolved.attacks.items():
        per_image = dict(zip(PASSES, (*use.passes, evaluations(resolved, use.budget.steps)), strict=True))
        total = {name: count * resolved.count for name, count in per_image.items()}
        to_do = {"forwards_to_do": total["forwards"] + total["evaluations"], "backwards_to_do": total["backwards"]}
        group = {"source": source, "attack": attack, "budget": budget, "images": resolved.count}
        groups.append({**group, **total, **to_do, "assumed": use.cost_assumed})
    return groups
