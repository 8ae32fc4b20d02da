"""`bench verify`: recomputes a random sample of somebody else's run."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from .options import Data, Format, TrustPaths


def verify(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run, or a zip file of it.")
    ],
    sample: Annotated[
        float, typer.Option(min=0.0001, max=1, metavar="SHARE", help="The share of the micro-batches to recompute.")
    ] = 0.05,
    seed: Annotated[
        int | None,
        typer.Option(metavar="S", help="The seed of the sample. Defaults to a random one, which is printed."),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, metavar="P", help="The probability of a false alarm on another machine."),
    ] = 0.05,
    other_code: Annotated[
        bool, typer.Option("--other-code", help="Compare the outcomes even if the code here is another.")
    ] = False,
    data: Data = None,
    trust_paths: TrustPaths = False,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="The device to compute on. Defaults to that of the run.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The number of workers. Defaults to one per core.")
    ] = None,
    format: Format = "terminal",
) -> None:
    """Recompute a random sample of a run and compare it with what the run claims.

    Exits with 0 if the values are identical, or equal up to what another machine changes, with 1 if they are not, and
    with 2 if the two cannot be compared: other weights, images or code.
    """
    from ..progress import for_stream
    from ..registry import discover
    from ..run_suite import closing, make_executor
    from ..submissions.contents import read_contents
    from ..submissions.report import sheets
    from ..submissions.unpack import unpacked
    from ..submissions.verify import Request
    from ..submissions.verify import verify as verify_run
    from .output import printer

    registry = discover()
    show = printer(format, registry)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    request = Request(sample, chosen, alpha, device, other_code)
    with unpacked(run) as opened, nullcontext() if trust_paths else _safe_path():
        contents = read_contents(opened, data, trust_paths)
        executor, _ = make_executor(registry, "local", {}, workers)
        with closing(executor):
            found = verify_run(opened, contents, request, registry, executor, for_stream())
    show(sheets(found))
    if found.verdict == "not equal":
        raise typer.Exit(1)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let workers import no module from the working folder, which may be the submission's: a checkout of theirs."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
