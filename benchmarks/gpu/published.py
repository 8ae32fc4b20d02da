"""The hours that the published tables of the transfer paper take, from measured rates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_core import load_suite
from bench_core.planning.describe import plan_record
from bench_core.planning.plan import make_plan
from bench_core.run_suite import resolve_suite
from bench_core.store import Store

SUITES = ("transfer_table1", "transfer_table2", "transfer_table3", "transfer_table4")
MEASURED = {  # label of the profile imagenet -> network that is timed
    "VGG16": "VGG-16", "RN-34": "ResNet-34", "RN-152": "ResNet-152", "DN-121": "DenseNet-121", "SE-154": "SENet-154",
}  # fmt: skip
OTHER = "ResNet-152"  # what a network counts as that is not timed


def hours(known: Mapping[str, Mapping[str, Mapping[str, Any]]], precision: str) -> dict[str, float]:
    """Return the hours of each suite: a pair of passes of a source at its rate, a forward of a target in half the time.

    Args:
        known: The measurements; those of the part `gradient` are used.
        precision: The precision of the rates.

    Raises:
        KeyError: A rate is missing.
    """
    rates = {name: float(known["gradient"][f"{name}, {precision}"]["rate"]) for name in {*MEASURED.values(), OTHER}}
    mean = len(rates) / sum(1 / rate for rate in rates.values())
    found = {}
    for name in SUITES:
        suite = load_suite(name, "imagenet")
        record = plan_record(make_plan(resolve_suite(suite, with_images=False), Store(Path("nowhere"))))
        seconds = 0.0
        for group in record["groups"]:
            members = suite.members_by_source[group["source"]]
            passes = max(group["forwards"], group["backwards"]) / len(members)
            seconds += sum(passes / rates[MEASURED.get(member, OTHER)] for member in members)
            seconds += group["evaluations"] / (2 * mean)
        found[name] = seconds / 3600
    return {**found, "all": sum(found.values())}
