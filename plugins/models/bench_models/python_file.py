"""A network from a Python file of the user's: `file = "net.py:build"`, with weights beside it or without.

The file is code that runs as the user. Its digest and that of the weights are part of the address of every result; what
the file imports is not.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean, raised
from bench_core.types import Json, WeightsFile

from .libraries.caches import digests_of, existing_paths

if TYPE_CHECKING:
    from torch import nn

    from bench_core.types import Model

CODE_DIGITS = 32  # of the code's digest; a whole SHA-256 would count as weights that models have in common


def split_file(file: str) -> tuple[Path, str]:
    """Split `PATH.py:FUNCTION`. Raises UsageError for another form."""
    path, _, function = file.rpartition(":")
    if not path.endswith(".py") or not function.isidentifier():
        raise UsageError(Fault("", "file", f'found "{file}" (try "net.py:build", a file and a function in it)'))
    return Path(path).expanduser(), function


def files(file: str, weights: str = "", sha256: str = "", **_options: Any) -> Sequence[WeightsFile]:
    """List the user's files."""
    code = WeightsFile(str(split_file(file)[0]))
    return [code, WeightsFile(str(Path(weights).expanduser()), sha256=sha256)] if weights else [code]


def identity(file: str, weights: str = "", sha256: str = "", **_options: Any) -> Json:
    """Return the digests of the files, without running them. Raises UsageError if one is not what it should be."""
    path, function = split_file(file)
    code, *others = digests_of(files(file, weights, sha256))
    if path.is_file():
        check_function(path, function)
    if sha256 and others not in (["missing"], [sha256.lower()]):
        found = f"{weights} has the digest {others[0]}" if others else "found without weights"
        raise UsageError(Fault("", "sha256", f"{found}, not {sha256}"))
    return {"code": code[:CODE_DIGITS], "weights_digest": others}


def check_function(path: Path, function: str) -> None:
    """Raise UsageError unless a Python file defines or imports a function at its top level."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UsageError(Fault("", "file", f"{path} is no Python file: {error}")) from None
    defined = {name for node in tree.body if (name := getattr(node, "name", None))}
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    if function not in defined | imported:
        raise UsageError(Fault("", "file", f'{path} has no "{function}" {did_you_mean(function, defined)}'))


def load_network(file: str, weights: str = "", sha256: str = "", key: str = "", prefix: str = "") -> nn.Module:
    """Run the user's file, call its function, and load the weights if there are any.

    Args:
        file: `PATH.py:FUNCTION`.
        weights: Path of a state dict, or "".
        sha256: Expected digest of the weights, or "".
        key: Dotted path of the state dict in the file of weights; by default it is found under the usual names.
        prefix: Beginning of the entries that are loaded, which is removed from their names.

    Raises:
        UsageError: A file is missing or is not what it should be, or the function fails or returns no network.
    """
    from .libraries.entries import load_entries
    from .libraries.weights import read_checkpoint, state_dict_of

    _, *paths = existing_paths(files(file, weights, sha256))
    identity(file, weights, sha256)
    network = call_function(*split_file(file))
    for path in paths:
        load_entries(network, state_dict_of(read_checkpoint(path), path, key), path, prefix)
    return network


def call_function(path: Path, function: str) -> nn.Module:
    """Run a Python file and return the network that its function returns. Raises UsageError."""
    from torch import nn

    spec = importlib.util.spec_from_file_location(f"bench_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        network = getattr(module, function)()
    except Exception as error:
        raise UsageError(Fault("", "file", f"{path}: {function} {raised(error)}")) from error
    if not isinstance(network, nn.Module):
        raise UsageError(
            Fault("", "file", f"{path}: {function} returned {type(network).__name__}, not a torch.nn.Module")
        )
    return network


def build(file: str, weights: str = "", sha256: str = "", key: str = "", prefix: str = "") -> Model:
    """Build a network from a function in a Python file.

    Args:
        file: `PATH.py:FUNCTION`. The function has no parameters and returns a torch.nn.Module that maps images
            [n, c, h, w] in [0, 1] to logits [n, classes]; its own normalisation belongs to it.
        weights: Path of the state dict; none if the function loads its own.
        sha256: Expected digest of the weights, if any.
        key: Dotted path of the state dict in the file of weights; by default it is found under the usual names.
        prefix: Beginning of the entries that are loaded, which is removed from their names.

    Raises:
        UsageError: A file is not what it should be, or the function returns another network at every call.
    """
    network = load_network(file, weights, sha256, key, prefix)
    if not weights:
        check_same(network, call_function(*split_file(file)), file)
    return network.eval().requires_grad_(False)


def check_same(network: nn.Module, again: nn.Module, file: str) -> None:
    """Raise UsageError if two networks of one function have other weights: each worker would attack its own."""
    import torch

    pairs = zip(network.state_dict().values(), again.state_dict().values(), strict=False)
    if not all(first.shape == second.shape and torch.equal(first, second) for first, second in pairs):
        message = f"{file} returns other weights at every call (try weights = FILE, or load them in the function)"
        raise UsageError(Fault("", "file", message))
