"""What foolbox offers, asked of the library itself: `bench_core.library_index` runs this in another process."""

from __future__ import annotations

import inspect
import typing
from typing import Any

from .options import TYPES, option


def index() -> dict[str, Any]:
    """Return for each attack, under each of its names, its options and whether it searches for a smallest size."""
    from foolbox import attacks

    found = {name: kind for name, kind in vars(attacks).items() if inspect.isclass(kind)}
    return {
        name: {"options": list(_options(kind)), "searches": issubclass(kind, attacks.base.MinimizationAttack)}
        for name, kind in found.items()
        if issubclass(kind, attacks.base.Attack) and not inspect.isabstract(kind)
    }


def _options(attack: Any) -> list[dict[str, Any]]:
    """Return the options of the constructor whose type is a number, a truth value or a text, or None beside it."""
    types = typing.get_type_hints(attack.__init__)
    listed = []
    for parameter in inspect.signature(attack).parameters.values():
        of = typing.get_args(types.get(parameter.name)) or (types.get(parameter.name),)
        kinds = [kind for kind in of if kind is not type(None)]
        if len(kinds) == 1 and kinds[0] in TYPES.values():
            listed.append(option(parameter.name, kinds[0], parameter.default, optional=type(None) in of))
    return listed
