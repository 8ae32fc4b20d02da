"""Find a recipe by name and check the options given to it."""

from __future__ import annotations

from ..errors import Fault, UsageError
from ..registry import Offer, Registry
from ..suite.options import json_faults
from ..types import Json


def planned_options(offer: Offer, given: Json, where: str, key: str) -> tuple[Json, list[Fault]]:
    """Return all options of a recipe, and the faults. Options travel in jobs, so JSON must be able to hold them."""
    options, faults = offer.check(given, where, key)
    faults += json_faults(options, where, key)
    return ({} if faults else options), faults


def find_with_options(
    registry: Registry,
    kind: str,
    name: str,
    given: Json,
    where: str,
    key: str,
    faults: list[Fault],
    under: str = "recipe",
) -> tuple[Offer, Json] | None:
    """Find a recipe and complete its options.

    Args:
        registry: Where recipes are looked up.
        kind: What is looked for: "metrics", "models", ...
        name: The recipe's name.
        given: The options that the suite gives.
        where: The suite's file, for errors.
        key: The suite's key under which the options are, for errors.
        faults: Errors found are added to this list.
        under: The suite's key, below `key`, that names the recipe.

    Returns:
        The offer and all options with their defaults; None where anything is wrong.
    """
    try:
        offer = registry.find(kind, name, where, f"{key}.{under}")
    except UsageError as error:
        faults.extend(error.faults)
        return None
    options, wrong = planned_options(offer, given, where, key)
    faults.extend(wrong)
    return None if wrong else (offer, options)
