"""`bench fetch`: the weights that a suite needs, into the libraries' own caches. Nothing else ever downloads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..planning.weights import Missing
    from ..types import WeightsFile


def fetch(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of one of bench's own.")],
    profile: Annotated[str | None, typer.Option(help="The profile; the suite's first by default.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; repeatable.")
    ] = None,
) -> None:
    """Download the weights that a suite's models lack, after saying how large they are; digests are verified."""
    from ..errors import one_line
    from ..planning.fetch import fetch as fetch_file
    from ..planning.weights import missing_faults
    from ..progress import for_stream
    from ..registry import discover
    from ..run import resolve_suite
    from ..suite.load import load_suite

    registry, loaded = discover(), load_suite(suite, profile, set_ or ())

    def lacking() -> Missing:
        return resolve_suite(loaded, registry, with_images=False).missing_weights

    missing = {file.path: (label, file) for label, files in lacking().items() for file in files}
    if not missing:
        print("bench: all weights are here", file=sys.stderr)
        return
    sizes = {path: announce(label, file) for path, (label, file) in missing.items()}
    failed = 0
    for path, (label, file) in missing.items():
        if not file.url:
            continue
        try:
            fetch_file(label, file, sizes[path], for_stream())
        except Exception as error:  # a library's own downloader may raise anything; the other files can still be had
            failed += 1
            print(one_line(f"bench: {label}: {file.url}: {error}"), file=sys.stderr)
    left = missing_faults(loaded, lacking())
    for fault in left:
        print(f"bench: {fault}", file=sys.stderr)
    if failed or left:
        raise typer.Exit(3)


def announce(label: str, file: WeightsFile) -> int | None:
    """Say what will be fetched and how large it is; give the size where it is known."""
    from ..errors import one_line
    from ..planning.fetch import published_size
    from ..planning.weights import human

    size = None
    if file.url:
        try:
            size = published_size(file)
        except OSError:
            size = None  # whether the server answers is for the download to find out
    told = human(size) if size else "size unknown"
    print(
        one_line(f"bench: {label}: {told}: {file.url or 'only you can put it there'} -> {file.path}"), file=sys.stderr
    )
    return size
