"""Reads weights from files, without running code that a pickle may contain."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench_core.errors import Fault, UsageError

from ..contents import HEAD, described_weights, is_safetensors

ADVICE = ("weights_only", "eights only", "miniz", "torch.load")  # in the messages of torch that are not passed on
NESTED = ("state_dict", "model", "model_state_dict", "net")  # usual keys of the state dict in a training checkpoint


def read_checkpoint(file: str | Path) -> Any:
    """Read a file of tensors on the CPU: safetensors, or a pickle of tensors, plain values and `safe_types()`.

    Which of them it is, is seen from its content, not from its name.

    Raises:
        UsageError: The file is damaged, or contains other types: loading it would run its author's code.
    """
    with torch.serialization.safe_globals(safe_types()):
        try:
            with Path(file).open("rb") as opened:
                if is_safetensors(opened.read(HEAD)):
                    return load_file(file)
                opened.seek(0)
                return torch.load(opened, map_location="cpu", weights_only=True)
        except Exception as error:
            raise weights_error(file, error) from None


def weights_error(file: str | Path, error: Exception) -> UsageError:
    """Return the error for a file of weights that was refused, is damaged or does not fit the network."""
    first, _, rest = str(error).partition("\n")
    if "loading state_dict" in first:
        return UsageError(Fault("weights", "", f"{file} does not fit the network: {shortened(rest)}"))
    imported = re.search(r"GLOBAL (\S+)", str(error))
    reason = described_weights(file)
    if imported and not reason:
        reason = f"refused: it is a pickle that imports {imported.group(1)}, and loading it would run its author's code"
        return UsageError(Fault("weights", "", f"{file}: {reason} (try its state dict saved as safetensors)"))
    reason = reason or _own_words(first, error)
    return UsageError(Fault("weights", "", f"{file}: not a readable file of weights: {reason}"))


def _own_words(message: str, error: Exception) -> str:
    """Return the reason of an error without the advice of torch, which is to load the file without protection."""
    if any(advice in message for advice in ADVICE) or not message:
        return "torch.save did not write it, or it is damaged (try the download again)"
    return f"{type(error).__name__}: {shortened(message)}"


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
        UsageError: There is no state dict, or, without `key`, there are several.
    """
    state = checkpoint
    for part in key.split(".") if key else []:
        state = state.get(part) if isinstance(state, Mapping) else None
    if not key and isinstance(state, Mapping):
        _refuse_several(state, file)
        state = next((state[name] for name in NESTED if isinstance(state.get(name), Mapping)), state)
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        content = (
            ", ".join(map(str, list(checkpoint)[:6])) if isinstance(checkpoint, Mapping) else type(checkpoint).__name__
        )
        raise UsageError(
            Fault("weights", "key", f"{file}: no state dict {f'at {key}' if key else ''}; it holds: {content}")
        )
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def _refuse_several(checkpoint: Mapping[Any, Any], file: str | Path) -> None:
    """Raise UsageError if a checkpoint has several state dicts of one network, such as an average of its weights."""
    nested = {name: value for name, value in checkpoint.items() if isinstance(value, Mapping)}
    entries = {name: {entry for entry in value if isinstance(value[entry], Tensor)} for name, value in nested.items()}
    first = next((name for name in NESTED if entries.get(name)), None)
    others = [name for name in entries if first is not None and name != first and entries[name] & entries[first]]
    if others:
        found = f"{file} has several state dicts: {', '.join(map(str, [first, *others]))}"
        raise UsageError(Fault("weights", "key", f'{found} (try key = "{others[0]}", or key = "{first}")'))
