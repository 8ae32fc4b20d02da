"""Opens the images that a suite says were attacked elsewhere. No torch, unless they are in a file of tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..given.find import open_given
from ..suite.exchange import GivenEntry
from ..suite.model import Suite
from ..types import Budget, Images
from .uses import GivenUse


def resolve_given(suite: Suite, budgets: Mapping[str, Budget], images: Images) -> list[GivenUse]:
    """Open the images of a suite's `[given]`.

    Args:
        suite: The suite.
        budgets: Its budgets.
        images: The dataset.

    Raises:
        UsageError: with all that is wrong with them.
    """
    uses, faults = list[GivenUse](), list[Fault]()
    for label, entry in suite.given.items():
        try:
            uses.append(_use(suite, label, entry, budgets, images))
        except UsageError as error:
            faults += error.faults
    repeated = [
        use for use, count in Counter((use.source, use.attack, use.budget) for use in uses).items() if count > 1
    ]
    faults += [
        Fault(suite.file, "given", f"{' '.join(use)} is given twice (set other names of attacks)") for use in repeated
    ]
    faults += [
        Fault(suite.file, f"given.{use.attack}", "is an attack's name as well (set another name)")
        for use in uses
        if use.attack in suite.attacks
    ]
    stop_at_faults(faults)
    return uses


def _use(suite: Suite, label: str, entry: GivenEntry, budgets: Mapping[str, Budget], images: Images) -> GivenUse:
    budget = entry.budget or (next(iter(budgets)) if len(budgets) == 1 else "")
    if budget not in budgets:
        wanted = f'unknown budget "{budget}" {did_you_mean(budget, budgets)}' if budget else "missing"
        listed = "" if budget else f" (the suite has {', '.join(budgets)})"
        raise UsageError(Fault(suite.file, f"given.{label}.budget", f"{wanted}{listed}"))
    root = Path(entry.root).expanduser()
    found = open_given(root, images, budgets[budget], entry.where, entry.array, entry.project)
    if suite.targeted and not found.targets and getattr(images, "targets", None) is None:
        message = "the attacks are targeted, but neither the list nor the dataset has target classes"
        raise UsageError(Fault(str(root), "", f"{message} (try a column targeted_label)"))
    rounded = entry.project or (suite.quantise and not found.eight_bit)
    return GivenUse(entry.source, entry.attack or label, budget, found, rounded)
