"""Missing weights: which files, and the command that fetches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import Fault
from ..suite.model import Suite, command
from ..types import WeightsFile

Missing = Mapping[str, Sequence[WeightsFile]]  # by the model's label


def human(size: int) -> str:
    return f"{size / 2**20:,.1f} MB" if size >= 2**19 else f"{size / 2**10:,.1f} KB"


def fetching(suite: Suite) -> str:
    """Return the command that fetches a suite's weights; it needs no options of the dataset."""
    return command("fetch", suite, without="data.")


def missing_faults(suite: Suite, missing: Missing) -> list[Fault]:
    """Return a fault for each missing file, with its path and how to get it."""
    faults = []
    for label, files in missing.items():
        for file in files:
            how = f"{fetching(suite)} gets it" if file.url else "only you can put it there"
            message = f"weights are not on this machine: looked for {file.path} ({how})"
            faults.append(Fault(suite.file, f"models.{label}", message))
    return faults
