"""Notebooks: plugins that are a file beside the notebook, and what `run` shows below a cell.

A run shows its stages as bars, and the headline and the first table so far, as HTML without terminal codes.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .code_digest import forget
from .digests import folder_digest
from .plugin_source import dependencies, source_digest
from .progress import Advance
from .registry import Origin, Registry, discover
from .tables.headline import headline
from .tables.shown import ShownTable

if TYPE_CHECKING:
    from .result import Result

REFRESH_SECONDS = 0.25  # the shortest time between two updates of a bar


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook, and not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def with_plugins(*modules: ModuleType) -> Registry:
    """Return the installed plugins and those of modules that need not be installed.

    Worker processes do not know these modules: pass the registry to `run` with `executor="inline"`. After a change of a
    module, reload it and call this again.

    Args:
        *modules: Modules with functions that `hookimpl` marks.

    Raises:
        UsageError: Two plugins offer the same name.
    """
    forget()
    folder_digest.cache_clear()
    registry = discover()
    for module in modules:
        name = module.__name__
        origin = Origin(name, name, "not installed", partial(source_digest, module), dependencies(module))
        registry.register(module, origin)
    return registry


class NotebookView:
    """Shows a run's stages, headline and first table below the cell; each update replaces what was there."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self.html = HTML
        self.display: Any = display(HTML(""), display_id=True)
        self.ended: list[str] = []
        self.results = ""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        """Show a bar while a stage runs, and how long it took after it."""
        start, done, shown = time.monotonic(), 0.0, 0.0

        def advance(amount: float) -> None:
            nonlocal done, shown
            done += amount
            now = time.monotonic()
            if now - shown >= REFRESH_SECONDS:
                shown = now
                left = f", about {(now - start) * (total - done) / done:.0f} s left" if 0 < done < total else ""
                self.update(f"{bar(name, done, total)} {done / total if total else 1:.0%}{left}")

        self.update(bar(name, 0, total))
        yield advance
        self.ended.append(f"{html.escape(name)}: done in {time.monotonic() - start:.1f} s")
        self.update()

    def with_callback(self, callback: Callable[[Result], None] | None) -> Callable[[Result], None]:
        """Return a function that shows a result and then calls what the user gave."""

        def called(result: Result) -> None:
            self.on_round(result)
            if callback is not None:
                callback(result)

        return called

    def on_round(self, result: Result) -> None:
        """Show a result in place of the one before."""
        lines = html.escape("\n".join(headline(result.tables)))
        compared = f"<pre>{lines}</pre>" if lines else ""
        table = ShownTable(result.tables[0])._repr_html_() if result.tables else ""
        self.results = f"{compared}{table}<p>{len(result.selected)} of {result.planned} images</p>"
        self.update()

    def update(self, running: str = "") -> None:
        lines = "".join(f"<div>{line}</div>" for line in (*self.ended, running) if line)
        self.display.update(self.html(f"{self.results}{lines}"))


def bar(name: str, done: float, total: float) -> str:
    label = html.escape(name)
    return f'{label} <progress value="{done:g}" max="{total or 1:g}" aria-label="{label}"></progress>'
