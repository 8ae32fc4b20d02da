"""Discovers plugins, each loaded on its own; collects what they offer; builds by name."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from . import hookspecs
from .code_digest import Untraceable, closure_digest
from .digests import digest, folder_digest
from .errors import Fault, UsageError, did_you_mean, stop_at_faults
from .suite.options import Option, check_options, options_of
from .types import API_OLDEST, API_VERSION, Recipe

GROUP = "bench"
KINDS = ("attacks", "metrics", "models", "datasets", "executors")
HOST_GIVES: Mapping[str, Sequence[str]] = {"attacks": ("budget",), "executors": ("workers", "registry")}


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from: entry point, distribution and version, digest of its source, what it depends on."""

    plugin: str
    package: str
    version: str
    source: str
    depends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unavailable:
    """A plugin that did not load, and why."""

    plugin: str
    package: str
    reason: str


@dataclass(frozen=True)
class Offer:
    """A recipe by its name, and who offers it."""

    kind: str
    name: str
    recipe: Recipe
    origin: Origin

    @cached_property
    def code(self) -> str:
        """SHA-256 over what the recipe's results come from, so that they are never taken for another code's.

        That is the modules of its `build` and its `parts` with all they import; the whole plugin where it is unknown.
        """
        makers = [self.recipe.build, *getattr(self.recipe, "parts", ())]
        modules = {getattr(getattr(each, "func", each), "__module__", None) or "" for each in makers}
        try:
            return digest([closure_digest(sorted(modules)), *self.origin.depends])
        except Untraceable:
            return self.origin.source

    @property
    def made_of(self) -> tuple[str, ...]:
        """The options of a model that name other models of the suite."""
        return getattr(self.recipe, "made_of", ())

    @property
    def options(self) -> list[Option]:
        listed = options_of(self.recipe.build, HOST_GIVES.get(self.kind, ()))
        return [replace(each, type="a model of the suite") if each.name in self.made_of else each for each in listed]

    def build(self, *given: Any, **options: Any) -> Any:
        """Build what the recipe describes."""
        return self.recipe.build(*given, **options)

    def check(self, given: Mapping[str, Any], where: str, key: str) -> tuple[dict[str, Any], list[Fault]]:
        """Give all options with defaults, typed, and the faults."""
        return check_options(self.recipe.build, given, where, key, HOST_GIVES.get(self.kind, ()))


@dataclass
class Registry:
    """All that the installed plugins offer."""

    offers: dict[tuple[str, str], Offer] = field(default_factory=dict)
    unavailable: list[Unavailable] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=lambda: new_manager())  # noqa: PLW0108

    def register(self, plugin: Any, origin: Origin) -> None:
        """Add what a plugin offers. Raises UsageError where another plugin offers the same name."""
        self.manager.register(plugin, name=origin.plugin)
        try:
            self.manager.check_pending()
            hooks = {kind: getattr(plugin, f"bench_{kind}", dict) for kind in KINDS}
            offered = {(kind, name): recipe for kind, hook in hooks.items() for name, recipe in hook().items()}
            clashes = [
                Fault(
                    "plugins",
                    f"{kind}.{name}",
                    f"both {describe(other.origin)} and {describe(origin)} offer it; block one",
                )
                for kind, name in offered
                if (other := self.offers.get((kind, name)))
            ]
            stop_at_faults(clashes)
        except BaseException:
            self.manager.unregister(plugin)
            raise
        self.offers |= {(kind, name): Offer(kind, name, recipe, origin) for (kind, name), recipe in offered.items()}

    def names(self, kind: str) -> list[str]:
        return sorted(name for of, name in self.offers if of == kind)

    def find(self, kind: str, name: str, where: str, key: str) -> Offer:
        """Give the offer of a name. Raises UsageError with the nearest name, or with why its plugin is unavailable."""
        found = self.offers.get((kind, name))
        if found:
            return found
        hint = did_you_mean(name, self.names(kind))
        broken = "".join(f"; plugin {each.plugin} is unavailable: {each.reason}" for each in self.unavailable)
        raise UsageError(Fault(where, key, f'unknown {kind[:-1]} "{name}" {hint}{broken}'))

    def compose(self, names: Sequence[str], where: str, key: str) -> Offer:
        """Give the attack that joins some recipes (a suite's `parts = [...]`). Raises UsageError where they do not."""
        if not names:
            raise UsageError(Fault(where, key, 'found an empty list (would do: names of attacks, as in ["mi", "ir"])'))
        found = [self.find("attacks", name, where, key) for name in names]
        joins = {getattr(each.recipe, "join", None) for each in found}
        join = joins.pop() if len(joins) == 1 else None
        if join is None:
            raise UsageError(Fault(where, key, f"these attacks cannot be combined: {', '.join(names)}"))
        try:
            recipe = join([each.recipe for each in found])
        except ValueError as error:
            raise UsageError(Fault(where, key, str(error))) from None
        return Offer("attacks", "+".join(names), recipe, found[0].origin)


def new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(hookspecs)
    return manager


def describe(origin: Origin) -> str:
    return f"{origin.plugin} ({origin.package} {origin.version})"


def discover(blocked: Iterable[str] = ()) -> Registry:
    """Load every plugin of the entry-point group `bench`, less those blocked by name, which are never imported.

    A plugin that fails to load is listed as unavailable with its reason. `BENCH_BLOCK_PLUGINS` (names, separated by
    commas) adds to `blocked`; `BENCH_DISABLE_PLUGIN_AUTOLOAD=1` loads only bench's own.
    """
    shut = {*blocked, *filter(None, os.environ.get("BENCH_BLOCK_PLUGINS", "").split(","))}
    only_own = os.environ.get("BENCH_DISABLE_PLUGIN_AUTOLOAD") == "1"
    registry = Registry()
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (not _is_own(p), p.name, p.value))
    for point in points:
        package = point.dist.name if point.dist else "unknown"
        version = point.dist.version if point.dist else "0"
        if point.name in shut or package in shut:
            registry.unavailable.append(Unavailable(point.name, package, "blocked"))
            continue
        if only_own and not _is_own(point):
            registry.unavailable.append(Unavailable(point.name, package, "autoload is off"))
            continue
        try:
            plugin = point.load()
            check_api(getattr(plugin, "BENCH_API_VERSION", API_OLDEST))
            origin = Origin(point.name, package, version, source_digest(plugin), dependencies(plugin))
            if registry.manager.has_plugin(point.name):
                origin = replace(origin, plugin=f"{package}:{point.name}")
            registry.register(plugin, origin)
        except UsageError:
            raise
        except (Exception, SystemExit) as error:
            registry.unavailable.append(Unavailable(point.name, package, f"{type(error).__name__}: {error}"))
    return registry


def _is_own(point: importlib.metadata.EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "adversarial-bench"


def check_api(wanted: Any) -> None:
    """Raise RuntimeError where a plugin is made for another version of the API than this host's."""
    if not isinstance(wanted, int):
        raise RuntimeError(f"BENCH_API_VERSION: found {wanted!r} (would do: {API_VERSION})")
    if wanted > API_VERSION:
        raise RuntimeError(f"made for plugin API {wanted}, this host has {API_VERSION} (would do: a newer bench)")
    if wanted < API_OLDEST:
        takes = f"takes {API_OLDEST} to {API_VERSION}"
        raise RuntimeError(f"made for plugin API {wanted}, this host {takes} (would do: a newer release of the plugin)")


def source_digest(plugin: Any) -> str:
    """SHA-256 over the Python files of the plugin's package and the versions that it depends on."""
    file = getattr(plugin, "__file__", None)
    if not isinstance(plugin, ModuleType) or file is None:
        return "unknown"
    path = Path(file)
    return digest([folder_digest(path.parent if plugin.__package__ else path), *dependencies(plugin)])


def dependencies(plugin: Any) -> tuple[str, ...]:
    """Give the versions of the distributions that it names in `BENCH_DEPENDS`, whose results it gives as its own."""
    return tuple(f"{name} {importlib.metadata.version(name)}" for name in getattr(plugin, "BENCH_DEPENDS", ()))
