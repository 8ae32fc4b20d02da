"""Makes RobustBench's loader report entries that it leaves out of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from bench_core.errors import Fault, UsageError

from .entries import listed

# What RobustBench itself knows to be missing from published files, or too much in them: constants that its networks
# set themselves, and parts that are used in training only.
MISSING = ("mu", "sigma", "mean", "std")
UNUSED = ("model_preact_hl1", "scores")


@contextmanager
def every_entry_loaded(file: str | Path) -> Iterator[None]:
    """Check what `load_state_dict(..., strict=False)` leaves out.

    If a file does not fit in one of the known ways, RobustBench loads it again and ignores all differences.

    Args:
        file: Path, for the error message.

    Raises:
        UsageError: In the context, where other entries are missing or unused.
    """
    plain = nn.Module.load_state_dict

    def checked(module: nn.Module, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        result = plain(module, state_dict, *args, **options)
        missing = [name for name in result.missing_keys if name.rpartition(".")[2] not in MISSING]
        unused = [name for name in result.unexpected_keys if not set(name.split(".")) & set(UNUSED)]
        for kind, names in (("lacks entries", missing), ("has entries that the network lacks", unused)):
            if names:
                raise UsageError(Fault("weights", "", f"{file} {kind}: {listed(names)} (a file of another network?)"))
        return result

    nn.Module.load_state_dict = checked  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.load_state_dict = plain  # type: ignore[method-assign]
