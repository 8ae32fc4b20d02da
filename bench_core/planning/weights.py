"""Reports missing weights files, with the command that fetches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import Fault
from ..suite.load import command
from ..suite.model import Suite
from ..types import WeightsFile

Missing = Mapping[str, Sequence[WeightsFile]]  # by the model's label


def readable_size(size: int) -> str:
    """Format a number of bytes as KiB or MiB."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**19 else f"{size / 2**10:,.1f} KiB"


def fetch_command(suite: Suite) -> str:
    """Return the command line that fetches a suite's weights; it omits overrides of the dataset as irrelevant."""
    return command("fetch", suite, without="data.")


def missing_faults(suite: Suite, missing: Missing) -> list[Fault]:
    """Return a fault for each missing file, with its path and how to get it, or how to do without it."""
    faults = []
    for label, files in missing.items():
        for file in files:
            hint = f"try {fetch_command(suite)}" if file.url else "it has no download, so put it there yourself"
            if label not in (*suite.attacked_models, *suite.targets):
                hint += "; or, as only images.models asks for it, --set images.models=sources"
            message = f"weights are not on this machine: looked for {file.path} ({hint})"
            faults.append(Fault(suite.file, f"models.{label}", message))
    return faults
