"""`bench fetch`: downloads weights into the caches of the models' libraries. No other command uses the network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from .options import Overrides, Profile, SuiteName

if TYPE_CHECKING:
    from ..planning.weights import Missing
    from ..types import WeightsFile


def fetch(suite: SuiteName, profile: Profile = None, set_: Overrides = None) -> None:
    """Download the missing weights of a suite.

    The size of each file is printed first, and its digest is verified where it is known.
    """
    from ..errors import one_line
    from ..planning.fetch import fetch as fetch_file
    from ..planning.recipe_faults import recipe_faults
    from ..planning.resolve import resolve
    from ..planning.weights import fetch_command, missing_faults
    from ..progress import for_stream
    from ..registry import discover
    from ..suite.load import load_suite

    registry = discover()
    loaded = load_suite(suite, profile, set_ or (), recipe_faults(registry))

    def find_missing() -> Missing:
        return resolve(loaded, registry, with_images=False).missing_weights

    missing = {file.path: (label, file) for label, files in find_missing().items() for file in files}
    if not missing:
        print("bench: no weights are missing", file=sys.stderr)
        return
    sizes = {path: announce(label, file) for path, (label, file) in missing.items()}
    failed = set()
    for path, (label, file) in missing.items():
        if not file.url:
            continue
        try:
            fetch_file(label, file, sizes[path], for_stream())
        except Exception as error:  # a library's downloader may raise anything; continue with the other files
            failed.add(label)
            print(one_line(f"bench: {label}: {file.url}: {error}"), file=sys.stderr)
    still = find_missing()
    faults = missing_faults(loaded, {label: files for label, files in still.items() if label not in failed})
    for fault in faults:
        print(f"bench: {fault}", file=sys.stderr)
    if failed:
        again = f"try {fetch_command(loaded)} again, or put the files where they belong"
        print(f"bench: not downloaded: {', '.join(sorted(failed))} ({again})", file=sys.stderr)
    if failed or faults:
        raise typer.Exit(3)


def announce(label: str, file: WeightsFile) -> int | None:
    """Print what will be downloaded; return its size in bytes where it is known."""
    from ..errors import one_line
    from ..planning.fetch import published_size
    from ..planning.weights import readable_size

    size = None
    if file.url:
        try:
            size = published_size(file)
        except OSError:
            size = None  # the download itself reports a server that does not answer
    size_text = readable_size(size) if size else "size unknown"
    print(
        one_line(f"bench: {label}: {size_text}: {file.url or 'no URL: put it there yourself'} -> {file.path}"),
        file=sys.stderr,
    )
    return size
