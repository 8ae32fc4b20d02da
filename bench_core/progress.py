"""Shows the progress of a run on standard error: a live bar on a terminal, plain lines if it is piped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

LINE_SECONDS = 15.0  # the shortest time between two lines
DUMB = ("dumb", "unknown")  # values of TERM for which rich draws nothing


class Advance(Protocol):
    """Adds an amount of finished work to a stage."""

    def __call__(self, amount: float) -> None: ...


class Progress(Protocol):
    """Shows stages. `stage(name, total)` is entered for each stage, with its total amount of work."""

    def stage(self, name: str, total: float, /) -> AbstractContextManager[Advance]: ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def stage(self, _name: str, _total: float) -> Iterator[Advance]:
        yield lambda _amount: None


class Lines:
    """Prints a line with the share done and the time left every 15 seconds, and one at the end of a stage."""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            now = time.monotonic()
            if now - last >= LINE_SECONDS and 0 < done < total:
                last, left = now, (now - start) * (total - done) / done
                print(f"bench: {name}: {done / total:.0%}, about {left:.0f} s left", file=sys.stderr, flush=True)

        yield advance
        print(f"bench: {name}: done in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


class Bars:
    """Shows a live bar for each stage."""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()]
        with RichProgress(*columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(escape(name), total=total)
            yield lambda amount: bar.advance(task, amount)


def can_draw() -> bool:
    """Return whether standard error is a terminal whose lines can be drawn anew. TERM=dumb, as in Emacs, cannot."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in DUMB


def for_stream() -> Silent | Lines | Bars:
    """Return bars if standard error is a terminal that can be drawn on, else lines."""
    return Bars() if can_draw() else Lines()
