"""Discovers plugins, loads each in isolation, and finds the recipes that they offer by name."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import pluggy

from . import hookspecs
from .code_digest import Untraceable, closure_digest
from .digests import digest
from .errors import Fault, UsageError, did_you_mean, stop_at_faults
from .plugin_source import check_api, dependencies, distribution_of, installed_versions, is_own, skipped, source_digest
from .suite.fields import Strict
from .suite.options import Option, check_options, options_of, options_table
from .types import API_OLDEST, Recipe

GROUP = "bench"
KINDS = ("attacks", "metrics", "models", "datasets", "executors", "publishers")
TAKEN: Mapping[str, Collection[str]] = {  # the keys of a suite's entry that are no options of its recipe
    "attacks": ("recipe", "parts", "category", "by_source", "sweep"),
    "metrics": ("recipe", "over", "models", "only"),
    "models": ("recipe", "expected_accuracy"),
    "datasets": ("kind",),
}
HOST_GIVES: Mapping[str, Sequence[str]] = {"attacks": ("budget",), "executors": ("workers", "registry")}


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    Attributes:
        plugin: The name of its entry point.
        package: Its distribution.
        version: The distribution's version.
        sources: The digest of its source files, or a function that computes it (see `source_digest`), since few
            commands need it.
        depends: Names and versions of the distributions that it depends on; see `dependencies`.
    """

    plugin: str
    package: str
    version: str
    sources: str | Callable[[], str]
    depends: tuple[str, ...] = ()

    @cached_property
    def source(self) -> str:
        """The digest of its source files."""
        return self.sources if isinstance(self.sources, str) else self.sources()


@dataclass(frozen=True)
class Unavailable:
    """A plugin that is not loaded, with the reason."""

    plugin: str
    package: str
    reason: str


@dataclass(frozen=True)
class Offer:
    """A recipe, its name, and the plugin that offers it.

    Attributes:
        kind: One of `KINDS`.
        name: Its name in suites.
        recipes: What the hook returned, which may import a recipe's module when the recipe is first used.
        origin: The plugin.
    """

    kind: str
    name: str
    recipes: Mapping[str, Recipe]
    origin: Origin

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe. Raises UsageError if its file cannot be imported, or what is there is no recipe."""
        found = self.recipes[self.name]
        if not (callable(getattr(found, "build", None)) and isinstance(getattr(found, "summary", None), str)):
            what = f"{found!r:.60} of {describe(self.origin)} is no recipe"
            message = f"{what} (try a recipe of bench_core.types, with build and summary)"
            raise UsageError(Fault("plugins", f"{self.kind}.{self.name}", message))
        return found

    @cached_property
    def code(self) -> str:
        """SHA-256 of all code that the recipe can run: a change of it makes stored results stale.

        It covers the modules of `build` and of the recipe's `parts` with everything that they import, or the complete
        plugin if imports cannot be traced, and the versions of the distributions that the recipe or the plugin names.
        """
        depends = installed_versions(getattr(self.recipe, "depends", ()))
        makers = [self.recipe.build, *getattr(self.recipe, "parts", ())]
        modules = {getattr(getattr(maker, "func", maker), "__module__", None) or "" for maker in makers}
        try:
            return digest([closure_digest(sorted(modules)), *self.origin.depends, *depends])
        except Untraceable:
            return digest([self.origin.source, *depends]) if depends else self.origin.source

    @property
    def made_of(self) -> tuple[str, ...]:
        """The options of a model that name other models of the suite."""
        return getattr(self.recipe, "made_of", ())

    @property
    def options(self) -> list[Option]:
        listed = options_of(self.recipe.build, HOST_GIVES.get(self.kind, ()))
        return [
            replace(option, type="a model of the suite") if option.name in self.made_of else option for option in listed
        ]

    def build(self, *given: Any, **options: Any) -> Any:
        """Call the recipe's `build`."""
        return self.recipe.build(*given, **options)

    def check(self, given: Mapping[str, Any], where: str, key: str) -> tuple[dict[str, Any], list[Fault]]:
        """Return all options, validated and with defaults, and the faults; see `suite.options.check_options`."""
        taken = sorted({option.name for option in self.options}.intersection(TAKEN.get(self.kind, ())))
        if taken:
            message = f"{self.name} of {describe(self.origin)} has an option of this name, which no suite can set"
            return {}, [Fault(where, f"{key}.{name}", f"{message} (rename it in the plugin)") for name in taken]
        return check_options(self._options_table, given, where, key)

    @cached_property
    def _options_table(self) -> type[Strict]:
        return options_table(self.recipe.build, HOST_GIVES.get(self.kind, ()))


@dataclass
class Registry:
    """The recipes that plugins offer.

    Attributes:
        offers: Offers by kind and name.
        unavailable: The plugins that are not loaded.
        manager: Calls the hooks of all loaded plugins.
    """

    offers: dict[tuple[str, str], Offer] = field(default_factory=dict)
    unavailable: list[Unavailable] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=lambda: new_manager())  # noqa: PLW0108

    def register(self, plugin: Any, origin: Origin) -> None:
        """Add a plugin: its hooks and the recipes it offers.

        If this fails, nothing of the plugin is added.

        Args:
            plugin: A module or an object, with functions marked by `hookspecs.hookimpl`.
            origin: Where it comes from.

        Raises:
            UsageError: if a recipe's name is taken.
            Exception: what pluggy raises for a wrong hook, and what the plugin's hooks raise.
        """
        self.manager.register(plugin, name=origin.plugin)
        try:
            self.manager.check_pending()
            offered = self._offered(plugin, origin)
        except BaseException:
            self.manager.unregister(plugin)
            raise
        self.offers |= offered

    def _offered(self, plugin: Any, origin: Origin) -> dict[tuple[str, str], Offer]:
        """Call the hooks of one plugin that offer recipes. Raises UsageError if a name is taken."""
        manager = new_manager()  # one with this plugin only
        manager.register(plugin)
        unmarked = [name for kind in KINDS if hasattr(plugin, name := f"bench_{kind}") and not _is_marked(plugin, name)]
        if unmarked:
            raise RuntimeError(f"{', '.join(unmarked)}: not marked as a hook (try @hookimpl above it)")
        offered, faults = dict[tuple[str, str], Offer](), list[Fault]()
        for kind in KINDS:
            for recipes in getattr(manager.hook, f"bench_{kind}")():
                for name in recipes:
                    taken = self.offers.get((kind, name)) or offered.get((kind, name))
                    if taken:
                        message = f"both {describe(taken.origin)} and {describe(origin)} offer it"
                        hint = f"(try BENCH_BLOCK_PLUGINS={origin.plugin})"
                        faults.append(Fault("plugins", f"{kind}.{name}", f"{message} {hint}"))
                    offered[kind, name] = Offer(kind, name, recipes, origin)
        stop_at_faults(faults)
        return offered

    def names(self, kind: str) -> list[str]:
        return sorted(name for offered, name in self.offers if offered == kind)

    def find(self, kind: str, name: str, where: str, key: str) -> Offer:
        """Return the offer with a name.

        Args:
            kind: One of `KINDS`.
            name: The recipe's name.
            where: The file that names it, for errors.
            key: The key in the file, for errors.

        Raises:
            UsageError: if the name is unknown, with the most similar name and all unavailable plugins.
        """
        offer = self.offers.get((kind, name))
        if offer:
            return offer
        hint = did_you_mean(name, self.names(kind), f"bench plugins {kind}")
        possible = [plugin for plugin in self.unavailable if _may_offer(plugin, name)]
        broken = "".join(f"; plugin {plugin.plugin} is unavailable: {plugin.reason}" for plugin in possible)
        raise UsageError(Fault(where, key, f'unknown {kind[:-1]} "{name}" {hint}{broken}'))

    def compose(self, names: Sequence[str], where: str, key: str) -> Offer:
        """Return the offer of an attack that combines several, as in a suite's `parts = [...]`.

        Args:
            names: Names of attacks.
            where: The file that names them, for errors.
            key: The key in the file, for errors.

        Raises:
            UsageError: if a name is unknown or the attacks cannot be combined.
        """
        if not names:
            raise UsageError(Fault(where, key, 'found an empty list, expected names of attacks (try ["mi", "ir"])'))
        offers = [self.find("attacks", name, where, key) for name in names]
        joins = {getattr(offer.recipe, "join", None) for offer in offers}
        join = joins.pop() if len(joins) == 1 else None
        if join is None:
            raise UsageError(Fault(where, key, f"these attacks cannot be combined: {', '.join(names)}"))
        try:
            recipe = join([offer.recipe for offer in offers])
        except ValueError as error:
            raise UsageError(Fault(where, key, str(error))) from None
        name = "+".join(names)
        return Offer("attacks", name, {name: recipe}, offers[0].origin)


def _may_offer(plugin: Unavailable, name: str) -> bool:
    """Return whether an unavailable plugin may have a recipe: one of bench has the names that begin with its own."""
    return plugin.package != "adversarial-bench" or name.partition(":")[0] == plugin.plugin


def new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(hookspecs)
    return manager


def _is_marked(plugin: Any, name: str) -> bool:
    return hasattr(getattr(plugin, name), "bench_impl")


def describe(origin: Origin) -> str:
    return f"{origin.plugin} ({origin.package} {origin.version})"


def discover(blocked: Iterable[str] = ()) -> Registry:
    """Load every plugin of the entry-point group `bench`, in isolation: one that fails is listed as unavailable.

    The environment variable `BENCH_BLOCK_PLUGINS` (names, separated by commas) adds to `blocked`;
    `BENCH_DISABLE_PLUGIN_AUTOLOAD=1` loads only bench's own plugins.

    Args:
        blocked: Names of plugins or distributions that are not imported.

    Raises:
        UsageError: if two plugins offer the same name.
    """
    blocked = {*blocked, *filter(None, os.environ.get("BENCH_BLOCK_PLUGINS", "").split(","))}
    registry = Registry()
    points = importlib.metadata.entry_points(group=GROUP)
    for point in sorted(points, key=lambda point: (not is_own(point), point.name, point.value)):
        reason = skipped(point, blocked) or _load(point, registry)
        if reason:
            registry.unavailable.append(Unavailable(point.name, distribution_of(point)[0], reason))
    return registry


def _load(point: importlib.metadata.EntryPoint, registry: Registry) -> str:
    """Import and register a plugin; return why that failed, or "". Raises UsageError if a recipe's name is taken."""
    package, version = distribution_of(point)
    try:
        plugin = point.load()
        check_api(getattr(plugin, "BENCH_API_VERSION", API_OLDEST))
        name = f"{package}:{point.name}" if registry.manager.has_plugin(point.name) else point.name
        registry.register(plugin, Origin(name, package, version, partial(source_digest, plugin), dependencies(plugin)))
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return ""
