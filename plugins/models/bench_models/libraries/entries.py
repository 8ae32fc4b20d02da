"""Loads the entries of a file into a network: every entry of the network, and none of the file's left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench_core.errors import Fault, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    Hint = Callable[[Mapping[str, Tensor]], str]  # the entries below the prefix -> what would do, in parentheses

COUNTER = "num_batches_tracked"  # old files lack these, and no output depends on them
# Buffers that a network computes itself, which files of older versions hold; and the counters of a profiler.
COMPUTED = (
    COUNTER,
    "relative_position_index",
    "relative_coords_table",
    "attn_mask",
    "position_ids",
    "total_ops",
    "total_params",
)
HEAD = 2  # entries of the last layer, its weight and bias
NAMED = 3  # entries that an error names


def another_architecture(_entries: Mapping[str, Tensor]) -> str:
    return "(another architecture?)"


def load_entries(
    network: nn.Module,
    state: Mapping[str, Tensor],
    file: str | Path,
    prefix: str = "",
    hint: Hint = another_architecture,
    head_hint: str = "(another architecture?)",
) -> None:
    """Load the entries of a file into a network.

    Args:
        network: The network, changed in place.
        state: Entries of the file.
        file: Path, for the error message.
        prefix: Beginning of the names of the entries to load, which is removed.
        hint: Returns the hint of the error message from the entries below the prefix.
        head_hint: The hint where only the number of outputs differs.

    Raises:
        UsageError: An entry of the network is missing, has another shape or type, or the file has more entries.
    """
    needed = network.state_dict()
    entries = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    missing = [name for name in needed if name not in entries and not name.endswith(COUNTER)]
    if missing:
        other = _other_prefix(state, missing[0], prefix)
        advice = hint(entries) if other is None else f'(try prefix = "{other}")'
        found = f"no {prefix}{missing[0]}, which the network needs; it has {next(iter(state), 'nothing')}"
        raise UsageError(Fault("weights", "", f"{file} has {found} {advice}"))
    for name, value in entries.items():
        if name not in needed:
            continue
        if value.shape != needed[name].shape:
            found = f"{name} has shape {tuple(value.shape)}, the network needs {tuple(needed[name].shape)}"
            advice = head_hint if _only_the_head(entries, needed) else hint(entries)
            raise UsageError(Fault("weights", "", f"{file}: {found} {advice}"))
        if needed[name].is_floating_point() and not value.is_floating_point():  # a counter may be a float
            found = f"{name} is {value.dtype}, the network needs {needed[name].dtype}"
            raise UsageError(Fault("weights", "", f"{file}: {found} (try the weights before they were quantised)"))
    unused = unused_entries(entries, needed)
    if unused:
        found = f"{len(unused)} entries that the network lacks: {listed(f'{prefix}{name}' for name in unused)}"
        raise UsageError(Fault("weights", "", f"{file} has {found} {hint(entries)}"))
    network.load_state_dict({name: entries[name] for name in needed if name in entries}, strict=False)


def unused_entries(entries: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the entries that a network lacks and that it does not compute itself."""
    return [name for name in entries if name not in needed and not name.endswith(COMPUTED)]


def fits(entries: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> bool:
    """Return whether entries are those that a network needs; its last layer may have another number of outputs."""
    names = [name for name in needed if not name.endswith(COMPUTED)]
    if unused_entries(entries, needed) or any(name not in entries for name in names):
        return False
    return _only_the_head(entries, needed)


def listed(names: Iterable[str]) -> str:
    """Join the first names for an error message."""
    every = list(names)
    return ", ".join([*every[:NAMED], *["..."] * (len(every) > NAMED)])


def _only_the_head(entries: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> bool:
    """Return whether at most the last layer's entries have another shape, and only another number of outputs."""
    others = [name for name in needed if name in entries and entries[name].shape != needed[name].shape]
    return len(others) <= HEAD and all(entries[name].shape[1:] == needed[name].shape[1:] for name in others)


def _other_prefix(state: Mapping[str, Tensor], missing: str, prefix: str) -> str | None:
    """Return another prefix below which a file has the missing entry; None if there is none."""
    prefixes = [name.removesuffix(missing) for name in state if name == missing or name.endswith(f".{missing}")]
    return next((other for other in prefixes if other != prefix), None)
