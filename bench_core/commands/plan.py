"""`bench plan`: shows what a run would compute."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .options import (
    RESULTS,
    Data,
    Device,
    Format,
    Images,
    Limit,
    Memory,
    Out,
    Overrides,
    Precise,
    Profile,
    SuiteName,
    Threads,
    with_data,
)  # fmt: skip


def plan(
    suite: SuiteName,
    profile: Profile = None,
    set_: Overrides = None,
    out: Out = RESULTS,
    images: Images = None,
    limit: Limit = None,
    data: Data = None,
    device: Device = "auto",
    precision: Precise = "float32",
    threads: Threads = 1,
    memory: Memory = None,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Also estimate time and memory, by running a few steps of each attack."),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Estimate the time for this number of workers.")
    ] = None,
    format: Format = "terminal",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show what a run would compute and what is already stored.

    The cost is counted in forward and backward passes of the attacks through their sources, and in evaluations of the
    targets.
    """
    from ..errors import Fault, UsageError
    from ..executors.devices import find_device
    from ..executors.precision import find_precision
    from ..planning.describe import plan_record
    from ..planning.plan import make_plan
    from ..planning.recipe_faults import recipe_faults
    from ..planning.resolve import resolve
    from ..progress import for_stream
    from ..registry import discover
    from ..reports.plan import plan_sheet
    from ..store import Store
    from ..suite.load import load_suite, with_images
    from .output import printer

    if memory is not None and not cost:
        raise UsageError(Fault("--memory", "", "changes only what --cost measures (try --cost with it)"))
    as_json = as_json or format == "json"
    registry = discover()
    show = printer(format, registry)
    loaded = load_suite(suite, profile, with_data(set_, data), recipe_faults(registry))
    found = find_device(device)
    chosen = find_precision(precision, found, threads)
    resolved = resolve(
        loaded if images is None else with_images(loaded, images),
        registry, device=found, precision=chosen.precision, precision_reason=chosen.reason, threads=threads,
        limit=limit,
    )  # fmt: skip
    if cost and resolved.images is None:
        message = f"cannot be estimated without images: {resolved.data_missing}"
        raise UsageError(Fault(resolved.suite.file, "--cost", message))
    planned = make_plan(resolved, Store(out / "store"))
    estimated = None
    if cost:
        from ..executors.calibrate import estimate

        estimated = estimate(planned, out, workers, for_stream(), memory)
    record = plan_record(planned, estimated)
    if as_json:
        print(json.dumps(record, indent=1))
    else:
        show([plan_sheet(record)])
