"""What is in the catalogue, from the recipes of its attacks: their papers, costs, and differences from the papers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from bench_attacks.plugin import RECIPES
from bench_core.planning.resolve import resolve
from bench_core.planning.uses import AttackUse
from bench_core.registry import discover
from bench_core.suite.model import AttackEntry, Suite, source_label

# of the attacks of suites that give no categories
CATEGORIES = {
    "transfer_attention": "attention",
    "transfer_ensembles": "ensembles",
    "transfer_targeted": "losses",
}
FIRST = "usual"  # the budget of 10 steps, whose passes are listed
STEPS = 10
OF_A_PAPER = re.compile(r"paper|authors|published|TransferAttack", re.IGNORECASE)


@dataclass(frozen=True)
class Listed:
    """An attack of the catalogue.

    Attributes:
        label: Its label in the suites.
        recipe: The recipe that brings its idea.
        parts: All recipes that it is made of.
        category: What kind of idea it is.
        cost: The passes of `STEPS` steps for one image.
        suites: The suites that have it.
    """

    label: str
    recipe: str
    parts: tuple[str, ...]
    category: str
    cost: float
    suites: tuple[str, ...]

    @property
    def module(self) -> ModuleType:
        return module_of(self.recipe)

    @property
    def paper(self) -> str:
        """The idea and its paper, as the first line of the attack's file has them."""
        return (self.module.__doc__ or "").strip().partition("\n")[0].partition(": ")[0].rstrip(".")


@cache
def module_of(recipe: str) -> ModuleType:
    import importlib

    return importlib.import_module(f"bench_attacks.parts.{recipe}")


def listed(suites: Mapping[str, Suite]) -> list[Listed]:
    """Return the attacks of the suites, each once, in the order of the suites and categories."""
    found: dict[tuple[str, ...], Listed] = {}
    for name, suite in suites.items():
        uses = resolve(suite, discover(), with_images=False).attacks
        for label, entry in suite.attacks.items():
            parts = tuple(entry.parts or [str(entry.recipe)])
            if parts in found:
                before = found[parts]
                found[parts] = Listed(**{**vars(before), "suites": tuple(dict.fromkeys((*before.suites, name)))})
                continue
            category = entry.category or CATEGORIES[name]
            found[parts] = Listed(label, idea(entry), parts, category, cost(suite, label, uses), (name,))
    order = list(dict.fromkeys(attack.category for attack in found.values()))
    return sorted(found.values(), key=lambda attack: order.index(attack.category))


def idea(entry: AttackEntry) -> str:
    """Return the recipe that brings the idea: the last one that only a few attacks have, or the first."""
    parts = entry.parts or [str(entry.recipe)]
    return parts[-1] if parts[-1] == "cfm" else parts[0]


def cost(suite: Suite, label: str, uses: Mapping[tuple[str, str, str], AttackUse]) -> float:
    """Return the passes of an attack, for `STEPS` steps and for each network of its source."""
    source = source_label(suite.sources[0])
    budget = FIRST if FIRST in suite.budgets else next(iter(suite.budgets))
    use = uses[label, source, budget]
    return sum(use.cost.total(STEPS))


def attack_list(suites: Mapping[str, Suite]) -> str:
    """Return the section that lists all attacks."""
    lines = [
        "## The attacks",
        "",
        f"*Passes* are forwards and backwards of one image in {STEPS} steps, and what is computed once before",
        "them, through each network of the source. *Parts* are what a suite names to get the attack: a single",
        'recipe, or several that are combined (`parts = ["di", "mi"]`). *Categories* say which idea an attack',
        "has: how gradients are accumulated (momentum), where they are computed (neighbours of the image,",
        "paths to it, transformed views of it), of what (features, losses), or on which network (changed",
        "networks, attention, ensembles).",
        "",
        "| category | attack | parts | paper | passes |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for attack in listed(suites):
        parts = " ".join(f"`{part}`" for part in attack.parts)
        lines.append(f"| {attack.category} | {attack.label} | {parts} | {attack.paper} | {attack.cost:g} |")
    return "\n".join(lines)


def notes(suites: Mapping[str, Suite]) -> str:
    """Return the section with what each attack's documentation says of its paper and of other implementations."""
    lines = [
        "## Notes on the attacks",
        "",
        "Options, choices and differences from the papers, their authors' code and TransferAttack, from the",
        "documentation of each attack (`bench plugins attacks NAME`). Names in `code` are bench's recipes and options.",
        "",
        "What several notes say: `unit(g)` scales a gradient g so that the mean of its absolute values is 1.",
        "A *batch mate* is another image that happens to be attacked in the same batch; in bench, no result",
        "depends on it. A *donor* is a clean image of another class of the dataset that is mixed into an",
        "image. *The budget* is that of the suite: norm, eps, number and length of the steps, random start.",
    ]
    recipes = dict.fromkeys(attack.recipe for attack in listed(suites))
    for recipe in sorted(recipes):
        text = list(dict.fromkeys(documented(recipe)))
        if text:
            lines += ["", f"**`{recipe}`**: {module_of(recipe).__doc__.strip().partition(chr(10))[0]}"]
            lines += [part for paragraph in text for part in ("", paragraph)]
    return "\n".join(lines)


def documented(recipe: str) -> Iterator[str]:
    """Yield the paragraphs on a paper or on other code in the documentation of an attack's parts and classes."""
    module = module_of(recipe)
    own = [part for part in RECIPES[recipe].parts if part.__module__ == module.__name__]
    objects: list[Any] = [*own, *(value for value in vars(module).values() if inspect.isclass(value))]
    for value in objects:
        if value.__module__ != module.__name__:
            continue
        text = re.split(r"\n(?:Args|Returns|Attributes|Raises):\n", inspect.getdoc(value) or "")[0]
        for paragraph in text.split("\n\n")[1:]:
            if OF_A_PAPER.search(paragraph) or value in own:
                yield paragraph.strip()
