"""What `bench run` shows while it runs: on a terminal a headline that sharpens in place, else a line for each round."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..progress import Advance, Lines, Progress, can_draw

if TYPE_CHECKING:
    from rich.console import Console, ConsoleDimensions, RenderableType

    from ..result import Result

NAMED = 4  # the number of comparisons in one line; the others are counted


class RunView(Progress, Protocol):
    """Shows the stages of a run, and its result after each round."""

    def on_round(self, result: Result, /) -> None: ...


def run_view() -> RunView:
    """Return a live view if standard error is a terminal that can be drawn on (see `can_draw`), else lines."""
    return LiveView() if can_draw() else RoundLines()


def images_text(result: Result) -> str:
    attacked = len(result.selected)
    return f"{attacked} images" if attacked >= result.planned else f"{attacked} of {result.planned} images"


def decided_text(result: Result) -> str:
    """Return how many comparisons are decided after how many images, and how to go on."""
    decisions = result.decisions
    assert decisions is not None
    if result.decided_early:
        return f"stopped after {images_text(result)}: {decisions.counts()} (without --until, the rest is attacked too)"
    text, undecided = f"{decisions.counts()} after {images_text(result)}", decisions.of("undecided")
    needed = [decision.more for decision in undecided if decision.more is not None]
    if undecided and result.exhausted:
        return f"{text}; the dataset has no more images that can be attacked"
    if not needed:
        return text
    size = result.suite.compute.micro_batch
    wanted = -(-(len(result.selected) + max(needed)) // size) * size
    which = "them" if len(needed) == len(undecided) else f"{len(needed)} of these"
    return f"{text}; about {wanted} images would decide {which} (--images {wanted})"


class RoundLines(Lines):
    """Plain lines for a file or a pipe."""

    def on_round(self, result: Result) -> None:
        """Print the comparisons with the baseline in one line. The last round is left to the tables."""
        from ..errors import one_line
        from ..tables.headline import comparisons, headline_table
        from ..tables.sheet import cell_text

        if len(result.selected) >= result.planned or result.decided_early:
            return
        table = headline_table(result.tables)
        rows = comparisons(table) if table else []
        texts = [
            f"{row.name} {cell_text(row.cell, bool(table and table.percent), True)}"
            f"{f' {row.cell.decision}' if row.cell.decision else ''}"
            for row in rows[:NAMED]
        ]
        more = [f"{len(rows) - NAMED} more"] * (len(rows) > NAMED)
        counts = f": {result.decisions.counts()}" if result.decisions else ""
        what = f": {table.header[-1]}: {'; '.join([*texts, *more])}" if table else ""
        print(f"bench: {images_text(result)}{counts}{one_line(what)}", file=sys.stderr, flush=True)


def nothing() -> None:
    pass


class LiveView:
    """The headline or the first table so far, above the bars of the stages. Rich honours NO_COLOR and narrow terminals.

    Args:
        console: Where to show it; by default on standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.result: Result | None = None
        self.drawn: tuple[ConsoleDimensions, list[RenderableType]] | None = None
        self.redraw: Callable[[], None] = nothing

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        from rich.console import Group
        from rich.live import Live
        from rich.markup import escape
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()]
        bar = RichProgress(*columns, TextColumn("left"), TimeRemainingColumn(), console=self.console)
        task = bar.add_task(escape(name), total=total)
        start = time.monotonic()

        def view() -> RenderableType:
            size = self.console.size
            if self.drawn is None or self.drawn[0] != size:  # the results are rendered once, the bar at each refresh
                self.drawn = size, self.results(*size)
            return Group(*self.drawn[1], bar)

        with Live(console=self.console, get_renderable=view, transient=True, refresh_per_second=4) as live:
            self.redraw = live.refresh
            yield lambda amount: bar.advance(task, amount)
            self.redraw = nothing
        self.console.print(f"bench: {name}: done in {time.monotonic() - start:.1f} s", markup=False, highlight=False)

    def on_round(self, result: Result) -> None:
        """Show a result in place of the one before."""
        self.result, self.drawn = result, None
        self.redraw()

    def results(self, width: int, height: int) -> list[RenderableType]:
        """Return the headline, or the first table, and the number of images that it is of."""
        from rich.text import Text

        from ..tables.formats import render
        from ..tables.headline import headline

        result = self.result
        if result is None or not result.tables:
            return []
        lines = headline(result.tables, width)
        if not lines:
            lines = render(result.tables[0]).splitlines()
        room = max(1, height - 5)
        if len(lines) > room:
            lines = [*lines[:room], f"... {len(lines) - room} more lines"]
        counts = f": {result.decisions.counts()}" if result.decisions else ""
        lines = [*lines, f"N = {images_text(result)}{counts}", ""]
        return [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
