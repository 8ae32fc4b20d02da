"""`bench judge`: judges images that were made elsewhere, as if an attack of a suite had made them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    RESULTS,
    Data,
    Device,
    Format,
    Intervals,
    Limit,
    NoWarnings,
    Out,
    Overrides,
    Profile,
    Threads,
    Workers,
    with_data,
)  # fmt: skip


def judge(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help="A folder of PNG files, with or without a list of them, or an .npz, .npy or .pth file.",
        ),
    ],
    suite: Annotated[
        str,
        typer.Option(
            metavar="SUITE", show_default=False, help="The suite whose images, networks and budgets are used."
        ),
    ],
    profile: Profile = None,
    attack: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the attack. Defaults to the name of DIR.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The network that the images were made on, if it is one of the suite's sources."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The budget of the images. Defaults to the only one of the suite."),
    ] = None,
    array: Annotated[
        str | None, typer.Option(metavar="NAME", help="The array of images in a file that has several.")
    ] = None,
    project: Annotated[
        bool,
        typer.Option(
            "--project", help="Move images outside the budget to the nearest 8-bit images inside. Rejects them else."
        ),
    ] = False,
    set_: Overrides = None,
    out: Out = RESULTS,
    count: Annotated[
        int | None,
        typer.Option(
            "--images",
            min=1,
            metavar="N",
            help="Judge N images instead of the suite's number: a multiple of its micro-batch.",
        ),
    ] = None,
    limit: Limit = None,
    data: Data = None,
    workers: Workers = None,
    device: Device = "auto",
    threads: Threads = 1,
    format: Format = "terminal",
    ci: Intervals = False,
    no_warnings: NoWarnings = False,
) -> None:
    """Judge adversarial images that were made elsewhere.

    They are matched to the clean images of the suite by name or digest, compared with the budget, and judged on the
    suite's targets. The results are a run like any other, in DIR/SUITE/PROFILE-judged-NAME.
    """
    from ..planning.recipe_faults import recipe_faults
    from ..registry import discover
    from ..run_suite import run as run_suite
    from ..runs.judged import Origin, judged_suite
    from ..suite.load import load_suite
    from .live import run_view
    from .output import print_run, printer

    registry = discover()
    show, view = printer(format, registry, ci), run_view()
    loaded = load_suite(suite, profile, with_data(set_, data), recipe_faults(registry))
    judged = judged_suite(loaded, images, Origin(attack, source, budget, array, project), registry)
    result = run_suite(
        judged, out=out, images=count, limit=limit, workers=workers, device=device, threads=threads,
        registry=registry, progress=view, warn=not no_warnings, on_round=view.on_round,
    )  # fmt: skip
    print_run(result, show, format, registry)
