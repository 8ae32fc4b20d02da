"""`bench plugins`: lists what is installed, and shows one entry in full."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..recipes import Recipe
    from ..registry import Offer, Registry
    from ..suite.options import Option

OWN = "adversarial-bench"
NAME_WIDTH = 22


def plugins(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="List only attacks, metrics, models, datasets, executors or publishers."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Show all details of this entry, or list all entries of a library such as foolbox."
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="List only entries with this text in their name, summary or options."),
    ] = None,
    block: Annotated[list[str] | None, typer.Option(metavar="PLUGIN", help="Ignore this plugin. Repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the installed plugins.

    Built-in entries come first, then those of other packages, then the plugins that could not be loaded.
    """
    from ..errors import one_line
    from ..registry import KINDS, discover
    from ..tables.escapes import no_commands

    registry = discover(block or ())
    check_kind(registry, kind, name)
    if name is None:
        registry = without_broken(registry)
    offers = select(registry, kind, name, search)
    exact = kind is not None and name is not None and (kind, name) in registry.offers
    unavailable = registry.unavailable if name is None and search is None else []
    if as_json:
        print(json.dumps(plugin_records(offers, unavailable), indent=1))
        return
    lines: list[str] = []
    if exact:
        lines += details(offers[0])
    else:
        for listed in KINDS if kind is None else (kind,):
            lines += list_kind(listed, [o for o in offers if o.kind == listed], fold=not (name or search))
    for plugin in unavailable:
        lines.append(f"unavailable: {plugin.plugin} ({plugin.package}): {plugin.reason}")
    print(no_commands("\n".join(map(one_line, lines))))


def check_kind(registry: Registry, kind: str | None, name: str | None) -> None:
    """Raise UsageError if the kind is unknown; suggest the right one if the word is the name of an entry."""
    from ..errors import Fault, UsageError, did_you_mean
    from ..registry import KINDS

    if kind is None or kind in KINDS:
        return
    kinds = [k for k in KINDS if (k, kind) in registry.offers]
    hint = f"(did you mean: bench plugins {kinds[0]} {kind})" if kinds and not name else did_you_mean(kind, KINDS)
    raise UsageError(Fault("bench plugins", "", f'unknown kind "{kind}" {hint}'))


def select(registry: Registry, kind: str | None, name: str | None, search: str | None) -> list[Offer]:
    """Return the entries to be shown, built-in ones first. Raises UsageError if nothing matches."""
    from ..errors import Fault, UsageError, did_you_mean

    offers = sorted(registry.offers.values(), key=lambda o: (o.origin.package != OWN, o.origin.package, o.name))
    if kind is not None:
        offers = [offer for offer in offers if offer.kind == kind]
    if name is not None:
        named = [offer for offer in offers if offer.name == name]
        groups = [offer for offer in offers if name in (group_of(offer), offer.origin.plugin, offer.origin.package)]
        if not named and not groups:
            group = name.partition(":")[0]
            broken = [plugin for plugin in registry.unavailable if group in (plugin.plugin, plugin.package)]
            if broken:
                raise UsageError(*(Fault("plugins", each.plugin, f"unavailable: {each.reason}") for each in broken))
            known = {word for offer in offers for word in (offer.name, group_of(offer))}
            hint = did_you_mean(name, known, " ".join(["bench plugins", *filter(None, [kind])]))
            raise UsageError(Fault("bench plugins", kind or "", f'unknown name "{name}" {hint}'))
        offers = named or groups
    if search is not None:
        offers = [offer for offer in offers if search.lower() in searchable(offer).lower()]
        if not offers:
            raise UsageError(Fault("--search", "", f'nothing matches "{search}"'))
    return offers


def without_broken(registry: Registry) -> Registry:
    """Return a registry without the recipes whose files cannot be imported, which are listed as unavailable."""
    from ..errors import UsageError
    from ..registry import Unavailable

    kept, broken = {}, list(registry.unavailable)
    for key, offer in registry.offers.items():
        try:
            offer.recipe.summary  # noqa: B018 - imports the recipe's file
            kept[key] = offer
        except UsageError as error:
            broken.append(Unavailable(offer.name, offer.origin.package, "; ".join(map(str, error.faults))))
    return replace(registry, offers=kept, unavailable=broken)


def group_of(offer: Offer) -> str:
    """Return the library that an entry such as `foolbox:LinfPGD` comes from, or its own name."""
    return offer.name.partition(":")[0]


def searchable(offer: Offer) -> str:
    return " ".join([offer.name, offer.recipe.summary, *(f"{o.name} {o.type}" for o in offer.options)])


def list_kind(kind: str, offers: Sequence[Offer], fold: bool) -> Iterator[str]:
    """Yield a line for each entry of a kind; a library of many entries is folded into one line."""
    if not offers:
        return
    yield f"{kind}:"
    sizes = Counter(group_of(offer) for offer in offers if ":" in offer.name)
    folded: set[str] = set()
    for offer in offers:
        group = group_of(offer)
        if fold and sizes[group] > 1:
            if group not in folded:
                folded.add(group)
                yield f"  {group}: {sizes[group]} {kind} (bench plugins {kind} {group})"
            continue
        origin = "" if offer.origin.package == OWN else f" [{offer.origin.package} {offer.origin.version}]"
        yield from entry(offer.name, f"{offer.recipe.summary}{origin}")
    yield ""


def entry(name: str, text: str) -> Iterator[str]:
    """Yield a name and its text in two columns."""
    indent = " " * (NAME_WIDTH + 2)
    lines = wrapped(text, indent)
    if len(name) < NAME_WIDTH - 1:
        lines[0] = f"  {name:{NAME_WIDTH}}{lines[0].lstrip()}"
    else:
        yield f"  {name}"
    yield from lines


def wrapped(text: str, indent: str) -> list[str]:
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent) or [indent.rstrip()]


def details(offer: Offer) -> Iterator[str]:
    """Yield the lines of all details of one entry."""
    yield f"{offer.name} ({offer.kind.removesuffix('s')})"
    yield from wrapped(offer.recipe.summary, "  ")
    for paragraph in documentation(offer.recipe):
        yield ""
        yield from (f"  {line}".rstrip() for line in paragraph.splitlines())
    yield ""
    yield "options:" if offer.options else "options: none"
    for option in offer.options:
        yield from entry(option.name, option_text(option))
    yield ""
    yield f"package: {offer.origin.package} {offer.origin.version}, plugin {offer.origin.plugin}"
    yield f"code:    {offer.code}"


def documentation(recipe: Recipe) -> Iterator[str]:
    """Yield what the docstring of a recipe's function says; for an attack of parts, those of the parts.

    The equations of a part are in the docstrings of the classes in its file.
    """
    build, parts = recipe.build, getattr(recipe, "parts", ())
    if not parts and (inspect.isroutine(build) or inspect.isclass(build)):
        yield from filter(None, [inspect.cleandoc(build.__doc__ or "")])
    for part in parts:
        text = inspect.cleandoc(part.__doc__ or "").replace("    attack: The attack.\n", "")
        text = text.removeprefix(recipe.summary).strip() if len(parts) == 1 else f"{part.__name__}: {text}"
        yield from filter(None, [text])
        for value in vars(sys.modules[part.__module__]).values():
            documented = inspect.isclass(value) and value.__module__ == part.__module__
            if documented and not (value.__doc__ or value.__name__).startswith(value.__name__):  # by dataclass
                yield f"{value.__name__}: {inspect.cleandoc(value.__doc__)}"


def option_text(option: Option) -> str:
    return f"{option.type}, required" if option.required else f"{option.type} = {json.dumps(option.default)}"


def plugin_records(offers: Sequence[Offer], unavailable: Sequence[Any]) -> dict[str, Any]:
    from ..registry import HOST_GIVES

    records = [
        {
            "kind": offer.kind, "name": offer.name, "summary": offer.recipe.summary, "plugin": offer.origin.plugin,
            "package": offer.origin.package, "version": offer.origin.version, "source": offer.origin.source,
            "options": [vars(option) for option in offer.options],
            "host_gives": list(HOST_GIVES.get(offer.kind, ())),
        }
        for offer in sorted(offers, key=lambda offer: (offer.kind, offer.name))
    ]  # fmt: skip
    return {"offers": records, "unavailable": [vars(plugin) for plugin in unavailable]}
