"""Reads from robustbench's source which networks it has, so that a plan need not import it (and torch)."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path

DATASETS = ("cifar10", "cifar100", "imagenet")
Identifiers = tuple[str, ...]  # of the files on Google Drive; none where the weights come from elsewhere


@cache
def networks(dataset: str) -> Mapping[str, Mapping[str, Identifiers]]:
    """Give, by threat model and name, where the weights of each network for a dataset are."""
    spec = importlib.util.find_spec("robustbench")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "model_zoo" / f"{dataset}.py").read_text("utf-8"))
    lists = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return {
        threat.attr: dict(map(_network, _pairs(lists[name.id])))
        for threat, name in _pairs(lists[_whole(lists)])
        if isinstance(threat, ast.Attribute) and isinstance(name, ast.Name)
    }


def _whole(lists: Mapping[str, ast.expr]) -> str:
    return next(name for name in lists if name.endswith("_models"))


def _pairs(call: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Give the pairs of `OrderedDict([(name, value), ...])`."""
    assert isinstance(call, ast.Call)
    assert isinstance(call.args[0], ast.List)
    return [(each.elts[0], each.elts[1]) for each in call.args[0].elts if isinstance(each, ast.Tuple)]


def _network(pair: tuple[ast.expr, ast.expr]) -> tuple[str, Identifiers]:
    name, entry = pair
    assert isinstance(name, ast.Constant)
    assert isinstance(entry, ast.Dict)
    where = next(
        value for key, value in zip(entry.keys, entry.values, strict=True) if ast.unparse(key or name) == "'gdrive_id'"
    )
    given = ast.literal_eval(where)
    return str(name.value), tuple(given) if isinstance(given, list) else tuple(filter(None, [given]))
