"""`bench publish`: hands a finished run to another tool."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer


def publish(
    run: Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Where to publish: mlflow, wandb, tensorboard, eval-results, model-card, every-eval-ever, or a "
            "publisher of a plugin.",
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set an option of the publisher. Repeatable."),
    ] = None,
) -> None:
    """Hand the results of a finished run to another tool, with intervals and numbers of images.

    Publishers write files on this machine. Nothing is sent over a network unless an option says so. `bench plugins
    publishers NAME` lists the options.
    """
    from ..errors import one_line, stop_at_faults
    from ..registry import discover
    from ..runs.finished import load_finished
    from ..runs.folder import run_folder
    from ..suite.merge import merged, read_override

    registry = discover()
    offer = registry.find("publishers", to, "--to", "")
    given: dict[str, object] = {}
    for text in set_ or []:
        given = merged(given, read_override(text))
    options, faults = offer.check(given, f"--to {to}", "")
    stop_at_faults([
        replace(fault, message=f"missing (try --set {fault.key}=VALUE; see bench plugins publishers {to})")
        if fault.message == "missing" else fault
        for fault in faults
    ])  # fmt: skip
    finished = load_finished(run_folder(Path(run)), registry)
    where = offer.build(**options).publish(finished)
    if not finished.complete:
        print("bench: the run is incomplete or has void cells, which are not published", file=sys.stderr)
    print(f"bench: published to {one_line(where)}", file=sys.stderr)
