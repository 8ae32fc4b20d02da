"""A purifier of the user's: a network from images to images before a classifier, such as HGD and NRP.

HGD: Liao et al. (2018; arXiv:1712.02976). NRP: Naseer et al. (2020; arXiv:2006.04924). Their code and weights are the
user's files: `file = "hgd.py:build"` names a function without parameters that returns the network.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean, raised
from bench_core.types import Json, WeightsFile

from ..defence_recipe import defence
from ..libraries.caches import digests_of, existing_paths

if TYPE_CHECKING:
    from torch import nn

    from bench_core.types import Model

CODE_DIGITS = 32  # of the code's digest; a whole SHA-256 would count as weights that models have in common


def split_file(file: str) -> tuple[Path, str]:
    """Split `PATH.py:FUNCTION`. Raises UsageError for another form."""
    path, _, function = file.rpartition(":")
    if not path.endswith(".py") or not function.isidentifier():
        raise UsageError(Fault("", "file", f'found "{file}" (try "hgd.py:build", a file and a function in it)'))
    return Path(path).expanduser(), function


def files(file: str, weights: str = "", sha256: str = "", **_options: Any) -> Sequence[WeightsFile]:
    """List the user's files."""
    code = WeightsFile(str(split_file(file)[0]))
    return [code, WeightsFile(str(Path(weights).expanduser()), sha256=sha256)] if weights else [code]


def known(file: str, weights: str = "", sha256: str = "", **_options: Any) -> Json:
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


def load_network(file: str) -> nn.Module:
    """Run the user's file and call its function. Raises UsageError if that fails or gives no network."""
    from torch import nn

    path, function = split_file(file)
    spec = importlib.util.spec_from_file_location(f"bench_purifier_{path.stem}", path)
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


def build(
    base: Any,
    file: str,
    weights: str = "",
    sha256: str = "",
    key: str = "",
    prefix: str = "",
    bpda: bool = False,
    adaptive: bool = False,
) -> Model:
    """Put a purifier from the user's file before a network: HGD (Liao et al., 2018), NRP (Naseer et al., 2020).

    Args:
        base: The network to defend.
        file: `PATH.py:FUNCTION`. The function has no parameters and returns a torch.nn.Module that maps images
            [n, c, h, w] in [0, 1] to images of the same shape.
        weights: Path of the purifier's state dict; none if the function loads its own.
        sha256: Expected digest of the weights, if any.
        key: Dotted path of the state dict in the file of weights; by default it is found under the usual names.
        prefix: Beginning of the entries that are loaded, which is removed from their names.
        bpda: Whether an adaptive attacker takes the gradient of the network at the purified image (BPDA), for a
            purifier without a gradient of use, instead of differentiating the purifier.
        adaptive: Whether the gradient is that of an adaptive attacker.
    """
    from ..defended import Defended
    from ..libraries.entries import load_entries
    from ..libraries.weights import read_checkpoint, state_dict_of
    from ..purifier import Purifier

    _, *paths = existing_paths(files(file, weights, sha256))
    known(file, weights, sha256)
    network = load_network(file)
    for path in paths:
        load_entries(network, state_dict_of(read_checkpoint(path), path, key), path, prefix)
    return Defended(base, Purifier(network, "identity" if bpda else "exact"), adaptive)


RECIPE = defence(
    build, "A network on images from a purifier of yours, such as HGD or NRP.", [], known=known, files=files
)
