"""Lists the attacks of foolbox and their options; `bench_core.library_index` runs and caches `index`."""

from __future__ import annotations

import inspect
import typing
from typing import Any

from .options import TYPES, option


def index() -> dict[str, Any]:
    """Return, for each name of an attack, its `options` and whether it `searches` for the smallest perturbation."""
    from foolbox import attacks

    classes = {name: value for name, value in vars(attacks).items() if inspect.isclass(value)}
    return {
        name: {"options": _options(attack), "searches": issubclass(attack, attacks.base.MinimizationAttack)}
        for name, attack in classes.items()
        if issubclass(attack, attacks.base.Attack) and not inspect.isabstract(attack)
    }


def _options(attack: Any) -> list[dict[str, Any]]:
    """Return the options of the constructor that are numbers, booleans or strings, or one of these or None."""
    types = typing.get_type_hints(attack.__init__)
    options = []
    for parameter in inspect.signature(attack).parameters.values():
        union = typing.get_args(types.get(parameter.name)) or (types.get(parameter.name),)
        members = [member for member in union if member is not type(None)]
        if len(members) == 1 and members[0] in TYPES.values():
            options.append(option(parameter.name, members[0], parameter.default, optional=type(None) in union))
    return options
