"""Lists the attacks of torchattacks and their options; `bench_core.library_index` runs and caches `index`."""

from __future__ import annotations

import inspect
import re
from typing import Any

from .options import TYPES, option


def index() -> dict[str, Any]:
    """Return for each attack its `options`, the `norms` it documents (or None), and whether it can be `targeted`."""
    import torch
    import torchattacks

    names = [name for name in torchattacks.__all__ if name not in torchattacks.__wrapper__]
    network = torch.nn.Linear(1, 1)
    return {name: _describe(getattr(torchattacks, name), network) for name in names}


def _describe(attack: Any, network: Any) -> dict[str, Any]:
    doc = inspect.getdoc(attack) or ""
    parameters = list(inspect.signature(attack).parameters.values())[1:]  # the first is the network
    bounded = re.search(r"Distance Measure : (.*)", doc)
    return {
        "options": [option(parameter.name, _type(parameter, doc), parameter.default) for parameter in parameters],
        "norms": bounded and bounded.group(1).strip(),
        "targeted": "targeted" in attack(network).supported_mode,
    }


def _type(parameter: inspect.Parameter, doc: str) -> type | None:
    """Return the type of the default, or the documented one if the default is None, missing or an int for a float."""
    match = re.search(rf"^\s*{parameter.name} \((\w+)\)", doc, re.MULTILINE)
    documented = TYPES.get(match.group(1)) if match else None
    default = parameter.default
    if isinstance(default, tuple):
        return type(default[0])
    if isinstance(default, int) and not isinstance(default, bool) and documented is float:
        return float
    return documented if default is None or default is inspect.Parameter.empty else type(default)
