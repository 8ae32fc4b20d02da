"""`bench export`: writes the images of a run as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Workers


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
    to: Annotated[
        Path, typer.Option(metavar="DIR", show_default=False, help="The folder to write; new, or of the same export.")
    ],
    attack: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Export this attack. Repeatable. Defaults to all.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Export this source. Repeatable. Defaults to all.")
    ] = None,
    budget: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Export this budget. Repeatable. Defaults to all.")
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP",
            help="The images after this step: last, a number, or best, which fools the black-box targets most often. "
            "Repeatable. Defaults to last.",
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Export the first N images. Defaults to all of the run.")
    ] = None,
    npz: Annotated[
        bool, typer.Option("--npz", help="Write .npz files with exactly what was judged, in place of PNG files.")
    ] = False,
    clean: Annotated[bool, typer.Option(help="Whether to export the clean images too.")] = True,
    workers: Workers = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="The device to compute on. Defaults to that of the run.")
    ] = None,
) -> None:
    """Write the adversarial and clean images of a run, with a list of them.

    Images that the run has kept are read from its store; the other attacks are run again. Images are rounded to 8 bits
    inside the ball. An export that was stopped continues where it stopped.
    """
    from ..errors import one_line
    from ..exports.export import export as export_run
    from ..exports.groups import LAST, Request
    from ..progress import for_stream
    from ..registry import discover
    from ..run_suite import closing, make_executor
    from ..runs.folder import run_folder

    registry = discover()
    request = Request(
        tuple(attack or ()), tuple(source or ()), tuple(budget or ()), tuple(step or [LAST]), images, npz, clean
    )
    executor, _ = make_executor(registry, "local", {}, workers)
    with closing(executor):
        exported = export_run(run_folder(Path(run)), to, request, registry, executor, for_stream(), device)
    for note in exported.notes:
        print(f"bench: {one_line(note)}", file=sys.stderr)
    count = len(exported.groups)
    what = f"the images of {count} attacks" if count != 1 else f"the images of {exported.groups[0]}"
    print(f"bench: wrote {one_line(f'{what}, {exported.images} each, to {to}')}", file=sys.stderr)
    for void in exported.voids:
        print(f"bench: void: {one_line(void)}", file=sys.stderr)
    if exported.voids:
        raise typer.Exit(3)
