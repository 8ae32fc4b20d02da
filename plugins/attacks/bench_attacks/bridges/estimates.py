"""What the libraries' attacks cost, estimated from their options, for an image that is never fooled.

The estimates count what the loops of an attack pass through the network, and the single passes around the loops of
those that are no searches: one pass too few, and under a limit of passes the host stops an attack before it returns
anything. A search that is stopped has what it found. They leave out early stops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench_core.types import Budget, Cost, Json

TARGETS = 9  # the wrong classes that targeted attacks try by default
VERSIONS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
QUERIES = 5000.0  # of Square
FAB = (2.0, 1.0)  # forwards and backwards of one step of targeted FAB
ITERATIONS = ("n_queries", "max_iterations", "nb_iter")  # options that count the steps of an attack
FACTORS = (
    "n_restarts", "restarts", "eot_iter", "m", "noise_batch_size", "binary_search_steps", "repeats", "popsize",
)  # fmt: skip
BLACK_BOX = ("GN", "OnePixel", "Pixle", "SPSA", "Square", "VANILA")
HOP_QUERIES = 100  # of the first step of HopSkipJump, by default
NO_PASSES = ("GN", "VANILA")


def autoattack_cost(version: str, steps: int, only: tuple[str, ...] = ()) -> Cost:
    """Return the cost of AutoAttack.

    Args:
        version: `standard`, `plus` or `rand`.
        steps: The steps of APGD and FAB.
        only: The attacks to run in place of the version's, with the settings of the standard version.
    """
    names = only or VERSIONS[version]
    restarts = 5 if version == "plus" and not only else 1
    samples = 20 if version == "rand" and not only else 1  # gradients that APGD averages
    gradients = samples * (steps + 1.0)
    costs = {
        "apgd-ce": (restarts * gradients, restarts * gradients),
        "apgd-dlr": (restarts * gradients, restarts * gradients),
        "apgd-t": (TARGETS * gradients, TARGETS * gradients),
        "fab": (restarts * steps * FAB[0], restarts * steps * (TARGETS + 1.0)),
        "fab-t": (TARGETS * steps * FAB[0], TARGETS * steps * FAB[1]),
        "square": (QUERIES, 0.0),
    }
    return once(sum(costs[name][0] for name in names), sum(costs[name][1] for name in names))


def torchattacks_cost(name: str, described: Json, budget: Budget, options: Mapping[str, Any]) -> Cost:
    """Return the cost of an attack of torchattacks, given its entry in the index."""
    values = {option["name"]: option.get("default") for option in described["options"]} | dict(options)
    if name in NO_PASSES:
        return once(0, 0)
    steps = budget.steps if {"steps", "num_iter_set"} & values.keys() else 1
    passes = float(steps * _product(values, (*ITERATIONS, *FACTORS)))
    passes *= values.get("N", 0) + 1  # the gradients around the images that VMI-FGSM averages
    passes *= 2 * values.get("nb_sample", 0.5)  # SPSA evaluates two images for each sample
    if name == "FAB":
        targets = TARGETS if values["multi_targeted"] else 1
        return once(passes * targets * FAB[0], passes * (TARGETS * FAB[1] if targets > 1 else TARGETS + 1))
    if name in ("DeepFool", "SparseFool", "JSMA"):
        return once(passes, passes * (TARGETS + 1))
    if name in ("APGD", "APGDT"):
        targets = TARGETS if name == "APGDT" else 1
        return once(targets * (passes + 2) + 2 * (targets > 1), targets * (passes + 1))
    return once(passes + (name == "TPGD"), 0 if name in BLACK_BOX else passes)


def foolbox_cost(name: str, described: Json, budget: Budget, options: Mapping[str, Any]) -> Cost:
    """Return the cost of an attack of foolbox, given its entry in the index."""
    values = {option["name"]: option.get("default") for option in described["options"]} | dict(options)
    steps = budget.steps if "steps" in values else 1
    if "Noise" in name or "Contrast" in name:
        return once(_product(values, ("repeats",)) + 2 if "repeats" in values else 1, 0)
    if name == "BoundaryAttack":
        return once(2 * steps + 50, 0)
    if name == "HopSkipJumpAttack":
        return once(sum(HOP_QUERIES * math.sqrt(step + 1) + 20 for step in range(steps)), 0)
    if "DeepFool" in name:
        passes = steps * (values["candidates"] or TARGETS + 1)  # all classes, one after another
        return once(passes, passes)
    passes = steps * (1 if "FMN" in name else _product(values, ("binary_search_steps",)))
    return once(passes + (not described["searches"]), passes)  # foolbox evaluates what an attack returns


def once(forwards: float, backwards: float) -> Cost:
    """Return the cost of a complete run, whose steps the suite may not set."""
    return Cost(0, 0, forwards, backwards)


def _product(values: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return math.prod(values[name] for name in names if values.get(name))
