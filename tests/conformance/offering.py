"""A registry with one more plugin than the installed ones, and the kit's verdicts on it."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace

from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry, discover
from bench_core.testing import Verdict, applicable, judge, offers, subjects
from bench_core.types import Recipe


def offering(kind: str, recipe: Recipe, name: str = "mine") -> Registry:
    registry = discover()
    plugin = SimpleNamespace(**{f"bench_{kind}": hookimpl(lambda: {name: recipe})})
    registry.register(plugin, Origin("my_plugin", "my-package", "1", ""))
    return registry


def verdicts(kind: str, recipe: Recipe, rules: Collection[str] = ()) -> list[Verdict]:
    """Check all rules of a recipe, or some."""
    registry = offering(kind, recipe)
    return [
        judge(subject, rule)
        for subject in subjects(registry, offers(registry, "mine"))
        for rule in applicable(subject)
        if not rules or rule.name in rules
    ]
