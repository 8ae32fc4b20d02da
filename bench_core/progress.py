"""Progress of long work: a live bar with the time left on a terminal, sober lines when piped. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

QUIET_SECONDS = 15.0


class Advance(Protocol):
    """Says that some more of the stage's work is done."""

    def __call__(self, amount: float) -> None: ...


class Progress(Protocol):
    """`stage` is entered for each stage, with its total amount of work."""

    def stage(self, name: str, total: float, /) -> AbstractContextManager[Advance]: ...


class Silent:
    """No progress at all."""

    @contextmanager
    def stage(self, _name: str, _total: float) -> Iterator[Advance]:
        yield lambda _amount: None


class Lines:
    """A line at the start, every quarter of a minute, and at the end."""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        began = last = time.monotonic()
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            now = time.monotonic()
            if now - last >= QUIET_SECONDS and 0 < done < total:
                last, left = now, (now - began) * (total - done) / done
                print(f"bench: {name}: {done / total:.0%}, about {left:.0f} s left", file=sys.stderr, flush=True)

        yield advance
        print(f"bench: {name}: done in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


class Bars:
    """A live bar for each stage."""

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


def for_stream() -> Silent | Lines | Bars:
    """Choose by whether standard error is a terminal."""
    return Bars() if sys.stderr.isatty() else Lines()
