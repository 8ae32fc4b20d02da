"""`bench run`: runs a suite and prints its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .options import (
    RESULTS,
    Data,
    Device,
    Format,
    Images,
    Intervals,
    Limit,
    Memory,
    NoWarnings,
    Out,
    Overrides,
    Plots,
    Precise,
    Profile,
    SuiteName,
    Threads,
    Workers,
    memory_limit,
    with_data,
)  # fmt: skip


def run(
    suite: SuiteName,
    profile: Profile = None,
    set_: Overrides = None,
    out: Out = RESULTS,
    images: Images = None,
    limit: Limit = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="decided",
            help="Stop when every comparison with a baseline is decided, or tied. The number of images is then the "
            "largest possible.",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="The largest probability of deciding a comparison without a difference. Defaults to 0.05."
        ),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The difference below which a comparison is tied. Defaults to 1pt (0.01)."),
    ] = None,
    data: Data = None,
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="What runs the jobs: local, inline, ray, or a plugin's executor.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The address of the executor's cluster. `auto` is the Ray cluster on this machine.",
        ),
    ] = None,
    executor_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set an option of the executor. Repeatable.")
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    precision: Precise = "float32",
    threads: Threads = 1,
    cell_timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001, metavar="SECONDS", help="Kill a job that takes longer than this; it has no result (void)."
        ),
    ] = None,
    cell_memory: Annotated[
        int | None,
        typer.Option(parser=memory_limit, metavar="SIZE", help="Kill a job that uses more memory, e.g. 800M or 4G."),
    ] = None,
    memory: Memory = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first job without a result, with exit code 3.")
    ] = False,
    format: Format = "terminal",
    ci: Intervals = False,
    no_warnings: NoWarnings = False,
    plots: Plots = False,
) -> None:
    """Run a suite and print its tables.

    All results are saved in DIR/SUITE/PROFILE. Results that are already in DIR/store are not computed again, so an
    interrupted run continues where it stopped.
    """
    from ..executors import Limits
    from ..planning.recipe_faults import recipe_faults
    from ..registry import discover
    from ..run_suite import run as run_suite
    from ..suite.load import load_suite
    from .live import run_view
    from .output import print_run, printer

    registry = discover()
    show, view = printer(format, registry, ci), run_view()
    result = run_suite(
        load_suite(suite, profile, with_data(set_, data), recipe_faults(registry)),
        out=out, images=images, limit=limit, executor=executor,
        executor_options=executor_options(executor_option, address),
        workers=workers, device=device, precision=precision, threads=threads, registry=registry, progress=view,
        limits=Limits(cell_timeout, cell_memory), memory=memory, strict=strict, warn=not no_warnings,
        until=until, alpha=alpha, margin=margin, on_round=view.on_round,
    )  # fmt: skip
    print_run(result, show, format, registry, plots)


def executor_options(given: Sequence[str] | None, address: str | None) -> dict[str, Any]:
    """Return the options of an executor; each value is TOML or, failing that, plain text."""
    from ..suite.merge import read_override

    options: dict[str, Any] = {} if address is None else {"address": address}
    for text in given or []:
        options |= read_override(text, "--executor-option")
    return options
