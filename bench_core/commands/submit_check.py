"""`bench submit-check`: validates a submission as a stranger's input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Data, NoLimits


def submit_check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="The folder of a run, or a zip file of it.")
    ],
    data: Data = None,
    no_limits: NoLimits = False,
) -> None:
    """Check that a submission is a complete and consistent run, without computing any of it.

    Nothing in it is trusted: paths, links, sizes, digests, names, and whether its scores follow from its rows.
    Exits with 0 if it is valid, and with 1 if not, with a line for each thing that is wrong; with 2 if there is none.
    """
    from ..errors import Fault, UsageError, one_line
    from ..registry import discover
    from ..submissions.check import check
    from ..submissions.contents import read_contents
    from ..submissions.unpack import unpacked

    if not file.exists():  # a mistake of the caller, not of the submission
        raise UsageError(Fault(str(file), "", "there is no such file or folder"))
    try:
        with unpacked(file) as opened:
            contents = read_contents(opened, data, computes=False, limited=not no_limits)
            checked = check(opened, contents, discover(), not no_limits)
    except UsageError as error:
        for fault in error.faults:
            print(f"bench: {one_line(str(fault))}", file=sys.stderr)
        raise typer.Exit(1) from None
    for note in checked.notes:
        print(f"bench: not checked: {one_line(note)}", file=sys.stderr)
    what = f"{checked.images} images, {checked.cells} cells, {checked.scores} scores"
    print(f"bench: {one_line(str(file))} is a valid submission: {what}, SHA-256 {opened.digest}")
