"""Lists the options of adversarial-library's attacks; `bench_core.library_index` runs and caches `index`."""

from __future__ import annotations

import inspect
import math
import unicodedata
from typing import Any

from .adv_lib_attacks import ATTACKS, Described, load
from .options import option

FIRST = 3  # parameters of every attack: the network, the images and their classes
SKIPPED = ("targeted", "callback", "starting_points", "use_large_reps", "large_memory")


def index() -> dict[str, Any]:
    """Return, for each attack, its `options` and the library's `arguments` by their names."""
    return {name: _described(name, attack) for name, attack in ATTACKS.items()}


def _described(name: str, attack: Described) -> dict[str, Any]:
    options, arguments = [], {}
    for parameter in list(inspect.signature(load(name)).parameters.values())[FIRST:]:
        default = parameter.default
        known = isinstance(default, bool | int | float | str) and default != math.inf
        if parameter.name in SKIPPED or parameter.name in attack.set_here or not known:
            continue
        of_type = float if parameter.annotation is float else type(default)
        options.append(option(spelt(parameter.name), of_type, of_type(default)))
        arguments[spelt(parameter.name)] = parameter.name
    return {"options": options, "arguments": arguments}


def spelt(name: str) -> str:
    """Return a name with its Greek letters spelt out, as a suite writes it."""
    return "".join(
        unicodedata.name(letter).rpartition(" ")[2].lower() if "GREEK" in unicodedata.name(letter) else letter
        for letter in name
    )
