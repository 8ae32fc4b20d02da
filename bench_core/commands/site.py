"""`bench site`: many runs as a static site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import RESULTS


def site(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]RUN",
            help="The folders of runs, or folders of many runs, oldest first. Defaults to all runs in results.",
        ),
    ] = None,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")] = Path("site"),
    title: Annotated[str, typer.Option(metavar="TEXT", help="The title of the site.")] = "bench",
    gallery: Annotated[
        int, typer.Option(min=0, max=50, metavar="N", help="Show the first N adversarial examples of each attack.")
    ] = 0,
) -> None:
    """Write a static site over many runs: leaderboards, and a page for each run, attack and network.

    It opens from the disk and from any web server, and loads nothing from elsewhere. Called again, it renders only the
    runs that are new or changed.
    """
    from ..errors import Fault, UsageError, one_line
    from ..reports.site.build import CACHE, DIGESTS, Builder, is_site
    from ..reports.site.found import find_site_runs
    from ..reports.site.unchanged import KnownDigests

    known = KnownDigests(to / CACHE / DIGESTS)
    found = find_site_runs(runs or [str(RESULTS)], known)
    if to.exists() and not is_site(to) and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(Fault("--to", str(to), "has something else than a site (try a new folder)"))
    builder = Builder(to, title, gallery)
    try:
        built = builder.build(found)
    except KeyboardInterrupt as stopped:
        stopped.add_note(builder.state(len(found)))
        raise
    known.save()
    size, rendered = f"{built.size / 2**20:.1f} MiB", f"{built.rendered} of {built.runs} runs rendered now"
    print(
        f"bench: wrote {one_line(str(to / 'index.html'))}: {built.pages} pages, {size}, {rendered}",
        file=sys.stderr,
    )
