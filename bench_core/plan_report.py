"""A plan, said in words and as JSON."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tabulate import tabulate

from .errors import one_line
from .plan import Plan

GROUPS = ("source", "attack", "budget")


def plan_record(plan: Plan) -> dict[str, Any]:
    """Give a plan as JSON: totals, and the cost of each source, attack and budget."""
    groups: dict[tuple[str, str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for job in plan.jobs:
        labels = job.labels
        key = (labels.get("source", "clean images"), labels.get("attack", ""), labels.get("budget", ""))
        missing = plan.missing(job)
        group = groups[key]
        group["cells"] += len(job.cells)
        group["stored"] += len(job.cells) - len(missing)
        if "attack" in labels:
            group["images"] += job.images
        group["forwards"] += job.cost[0]
        group["backwards"] += job.cost[1]
        group["evaluations"] += job.evaluations
        group["forwards_to_do"] += job.cost[0] + job.evaluations if missing else 0
        group["backwards_to_do"] += job.cost[1] if missing else 0
    planner = plan.planner
    return {
        "suite": planner.suite.name,
        "profile": planner.suite.profile,
        "title": planner.suite.title,
        "models": planner.models,
        "images": None if planner.images is None else len(planner.images.ids),
        "data_missing": planner.data_missing if planner.images is None else None,
        "selection": plan.selection.digest if plan.selection else None,
        "selected": len(plan.selection.ids) if plan.selection else planner.count,
        "jobs": len(plan.jobs),
        "cells": plan.cells,
        "stored": plan.cells_stored,
        "groups": [dict(zip(GROUPS, key, strict=True)) | group for key, group in groups.items()],
        "attacks": [
            {
                "source": source, "attack": attack, "budget": budget, "options": use.spec["options"],
                "forwards_per_image": use.cost.total(planner.suite.budgets[budget].steps)[0],
                "backwards_per_image": use.cost.total(planner.suite.budgets[budget].steps)[1],
                "global_seed": use.global_seed,
            }
            for (attack, source, budget), use in planner.attacks.items()
        ],
    }  # fmt: skip


def plan_text(plan: Plan) -> str:
    """Say a plan on a terminal."""
    record = plan_record(plan)
    lines = [f"{record['title']}", f"profile {record['profile']}, {len(record['models'])} models"]
    if record["data_missing"]:
        lines.append(f"images: missing: {record['data_missing']}; the suite wants {record['selected']}")
    elif record["selection"]:
        lines.append(f"images: {record['selected']} selected of {record['images']}, list {record['selection'][:12]}")
    else:
        lines.append(
            f"images: up to {record['selected']} of {record['images']}, chosen once the clean images are classified"
        )
    if record["groups"]:
        rows = [
            [g["source"], g["attack"], g["budget"], *(f"{g.get(k, 0):,.0f}" for k in
             ("cells", "stored", "forwards", "backwards", "evaluations"))]
            for g in record["groups"]
        ]  # fmt: skip
        head = ["source", "attack", "budget", "cells", "stored", "forwards", "backwards", "evaluations"]
    else:
        rows = [
            [
                a["source"],
                a["attack"],
                a["budget"],
                f"{a['forwards_per_image']:,.0f}",
                f"{a['backwards_per_image']:,.0f}",
            ]
            for a in record["attacks"]
        ]
        head = ["source", "attack", "budget", "forwards an image", "backwards an image"]
    seeded = sorted({a["attack"] for a in record["attacks"] if a["global_seed"]})
    align = ["left"] * 3 + ["right"] * (len(head) - 3)
    lines += ["", tabulate(rows, head, "simple", disable_numparse=True, colalign=align if rows else None), ""]
    if seeded:
        lines.append(f"randomness from the global seed, so dependent on the micro-batch: {', '.join(seeded)}")
    if record["groups"]:
        total = {k: sum(g[k] for g in record["groups"]) for k in ("forwards_to_do", "backwards_to_do")}
        lines.append(
            f"{record['jobs']} jobs, {record['cells']} cells, {record['stored']} of them stored; "
            f"to do: {total['forwards_to_do']:,.0f} forwards, {total['backwards_to_do']:,.0f} backwards"
        )
    return "\n".join(one_line(line) if "\n" not in line else line for line in lines)
