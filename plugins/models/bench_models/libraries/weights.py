"""Reads weights from files, without running code that a pickle may contain, and loads them into networks."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench_core.errors import Fault, UsageError

NESTED = ("state_dict", "model", "model_state_dict", "net")  # usual keys of the state dict in a training checkpoint


def read_checkpoint(file: str | Path) -> Any:
    """Read a file of tensors on the CPU: safetensors, or a pickle of tensors, plain values and `safe_types()`.

    Raises:
        UsageError: The file is damaged, or contains other types: loading it would run its author's code.
    """
    with torch.serialization.safe_globals(safe_types()):
        try:
            if str(file).endswith(".safetensors"):
                return load_file(file)
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise weights_error(file, error) from None


def weights_error(file: str | Path, error: Exception) -> UsageError:
    """Return the error for a file of weights that was refused, is damaged or does not fit the network."""
    imported = re.search(r"GLOBAL (\S+)", str(error))
    if imported:
        reason = f"refused: it is a pickle that imports {imported.group(1)}, and loading it would run its author's code"
        return UsageError(Fault("weights", "", f"{file}: {reason} (try its state dict saved as safetensors)"))
    first, _, rest = str(error).partition("\n")
    if "loading state_dict" in first:
        return UsageError(Fault("weights", "", f"{file} does not fit the network: {shortened(rest)}"))
    return UsageError(Fault("weights", "", f"{file}: not a readable file of weights ({first or type(error).__name__})"))


def shortened(text: str, width: int = 160) -> str:
    """Return the beginning of a text as one line."""
    return textwrap.shorten(text, width, placeholder=" ...")


def safe_types() -> list[Any]:
    """Return the other types in published checkpoints that are safe to load: training options, NumPy's numbers."""
    import argparse

    import numpy as np
    from numpy._core import multiarray

    kinds = [np.dtype(name) for name in ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")]
    scalars: list[Any] = [multiarray.scalar, multiarray._reconstruct]
    old_names = [(function, f"numpy.core.multiarray.{function.__name__}") for function in scalars]
    return [argparse.Namespace, np.ndarray, np.dtype, *map(type, kinds), *scalars, *old_names]


def state_dict_of(checkpoint: Any, file: str | Path, key: str = "") -> Mapping[str, Tensor]:
    """Return the state dict in the content of a file.

    Args:
        checkpoint: Content of the file.
        file: Path, for the error message.
        key: Dotted path of the state dict; by default it is searched under the usual keys.

    Raises:
        UsageError: There is no state dict.
    """
    state = checkpoint
    for part in key.split(".") if key else []:
        state = state.get(part) if isinstance(state, Mapping) else None
    if not key and isinstance(state, Mapping):
        state = next((state[name] for name in NESTED if isinstance(state.get(name), Mapping)), state)
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        content = (
            ", ".join(map(str, list(checkpoint)[:6])) if isinstance(checkpoint, Mapping) else type(checkpoint).__name__
        )
        raise UsageError(
            Fault("weights", "key", f"{file}: no state dict {f'at {key}' if key else ''}; it holds: {content}")
        )
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def entries_for(state: Mapping[str, Tensor], needed: Sequence[str], prefix: str, file: str | Path) -> dict[str, Tensor]:
    """Return the entries that a network needs, without the prefix of their names.

    Args:
        state: Entries of a file.
        needed: Names of the network's entries.
        prefix: Beginning of the names of the entries to use.
        file: Path, for the error message.

    Raises:
        UsageError: An entry is missing; the message suggests a prefix that fits, if there is one.
    """
    chosen = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    missing = [name for name in needed if name not in chosen and not name.endswith("num_batches_tracked")]
    if not missing:
        return {name: value for name, value in chosen.items() if name in needed}
    prefixes = [
        name.removesuffix(missing[0]) for name in state if name.endswith(f".{missing[0]}") or name == missing[0]
    ]
    hint = f'(try prefix = "{prefixes[0]}")' if prefixes and prefixes[0] != prefix else "(another architecture?)"
    message = (
        f"{file} has no {prefix}{missing[0]}, which the network needs; it has {next(iter(state), 'nothing')} {hint}"
    )
    raise UsageError(Fault("weights", "", message))


def load_entries(
    network: nn.Module,
    state: Mapping[str, Tensor],
    file: str | Path,
    prefix: str = "",
    causes: str = "another architecture?",
) -> None:
    """Load the entries of a file into a network.

    Args:
        network: The network, changed in place.
        state: Entries of the file.
        file: Path, for the error message.
        prefix: Beginning of the names of the entries to use.
        causes: Likely cause of a wrong shape, for the error message.

    Raises:
        UsageError: An entry is missing or has another shape than the network's.
    """
    needed = network.state_dict()
    chosen = entries_for(state, list(needed), prefix, file)
    for name, value in chosen.items():
        if value.shape != needed[name].shape:
            found = f"{name} has shape {tuple(value.shape)}, the network needs {tuple(needed[name].shape)}"
            raise UsageError(Fault("weights", "", f"{file}: {found} ({causes})"))
    network.load_state_dict(chosen, strict=False)  # only counters of batches may be missing
