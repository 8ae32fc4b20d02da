"""`bench verify`: recomputes a random sample of somebody else's run."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .options import Data, Format, NoLimits, TrustPaths, Workers, memory_size

if TYPE_CHECKING:
    from ..executors import Limits


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
    workers: Workers = None,
    max_passes: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Refuse a sample of more forward and backward passes of single images than this."
        ),
    ] = 10_000_000,
    max_seconds: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Stop without a verdict when this time is over.")
    ] = 3600,
    max_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Stop without a verdict if a worker takes more memory than this.")
    ] = "8G",
    no_limits: NoLimits = False,
    format: Format = "terminal",
) -> None:
    """Recompute a random sample of a run and compare it with what the run claims.

    Exits with 0 if the values are identical, or equal up to what another machine changes, with 1 if they are not, with
    2 if the two cannot be compared (other weights, images or code) or the run asks for too much work, and with 3 if the
    limit of time or memory is exceeded.
    """
    from ..errors import Incomplete, Interrupted
    from ..executors import NO_LIMITS
    from ..progress import for_stream
    from ..registry import discover
    from ..run_suite import closing, make_executor
    from ..submissions.contents import read_contents
    from ..submissions.prepare import Request
    from ..submissions.report import sheets
    from ..submissions.unpack import unpacked
    from ..submissions.verify import verify as verify_run
    from .output import printer

    registry = discover()
    show = printer(format, registry)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    limits = NO_LIMITS if no_limits else _limits(max_seconds, max_memory)
    request = Request(sample, chosen, alpha, device, other_code, None if no_limits else max_passes, limits)
    try:
        with unpacked(run) as opened, nullcontext() if trust_paths else _safe_path():
            contents = read_contents(opened, data, trust_paths, limited=not no_limits)
            executor, _ = make_executor(registry, "local", {}, workers)
            with closing(executor):
                found = verify_run(opened, contents, request, registry, executor, for_stream())
    except Incomplete as error:
        stop(3, str(error))
    except (KeyboardInterrupt, Interrupted):
        stop(130, "interrupted")
    show(sheets(found))
    if found.verdict == "not equal":
        raise typer.Exit(1)


def stop(code: int, reason: str) -> NoReturn:
    """Exit without a verdict. Unlike a run, a verification keeps nothing that a second one could continue."""
    from ..errors import one_line

    print(f"bench: {one_line(reason)}; there is no verdict", file=sys.stderr)
    raise typer.Exit(code) from None


def _limits(seconds: float, memory: str) -> Limits:
    from ..executors import Limits
    from ..executors.watchdog import MEASURABLE

    size = memory_size(memory, "--max-memory")
    return Limits(memory=size if MEASURABLE else None, until=time.monotonic() + seconds)


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
