"""What torchattacks offers, asked of the library itself: `bench_core.library_index` runs this in another process."""

from __future__ import annotations

import inspect
import re
from typing import Any

from .options import TYPES, option


def index() -> dict[str, Any]:
    """Return for each attack its options, the norms that it is bounded in, and whether it can be targeted."""
    import torch
    import torchattacks

    names = [name for name in torchattacks.__all__ if name not in torchattacks.__wrapper__]
    network = torch.nn.Linear(1, 1)
    return {name: _describe(getattr(torchattacks, name), network) for name in names}


def _describe(attack: Any, network: Any) -> dict[str, Any]:
    doc = inspect.getdoc(attack) or ""
    taken = list(inspect.signature(attack).parameters.values())[1:]  # less the network
    bounded = re.search(r"Distance Measure : (.*)", doc)
    return {
        "options": [option(each.name, _type(each, doc), each.default) for each in taken],
        "norms": bounded and bounded.group(1).strip(),
        "targeted": "targeted" in attack(network).supported_mode,
    }


def _type(parameter: inspect.Parameter, doc: str) -> type | None:
    """Return the type of the default, except where the docstring calls a whole number a float, or there is none."""
    documented = re.search(rf"^\s*{parameter.name} \((\w+)\)", doc, re.MULTILINE)
    named = TYPES.get(documented.group(1)) if documented else None
    default = parameter.default
    if isinstance(default, tuple):
        return type(default[0])
    if isinstance(default, int) and not isinstance(default, bool) and named is float:
        return float
    return named if default is None or default is inspect.Parameter.empty else type(default)
