"""Arguments and options that several commands share."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..executors.precision import PrecisionChoice

RESULTS = Path("results")
BASELINES = RESULTS / "baselines"


def memory_size(text: str, option: str = "--memory") -> int:
    """Return a size such as 800M or 4G in bytes. Raises UsageError if the text is no size."""
    from ..errors import Fault, UsageError

    match = re.fullmatch(r"(\d+)([KMGT])(i?B)?", text.strip(), re.IGNORECASE)
    if not match or int(match[1]) == 0:
        raise UsageError(Fault(option, "", f'found "{text}" (try 800M, 4G)'))
    return int(match[1]) << 10 * (1 + "KMGT".index(match[2].upper()))


def memory_limit(text: str) -> int:
    """Return the limit of `--cell-memory` in bytes.

    Raises:
        UsageError: The text is not a size, or this system does not report the memory of a process.
    """
    from ..errors import Fault, UsageError
    from ..executors.watchdog import MEASURABLE

    size = memory_size(text, "--cell-memory")
    if not MEASURABLE:
        raise UsageError(Fault("--cell-memory", "", "this system does not report the memory of a process (no /proc)"))
    return size


def with_data(overrides: Sequence[str] | None, data: str | None) -> list[str]:
    """Return the overrides of a suite, `--data` included."""
    return [*(overrides or []), *([f"data.root={json.dumps(data)}"] if data is not None else [])]


SuiteName = Annotated[
    str, typer.Argument(metavar="SUITE", show_default=False, help="A suite file, or the name of a built-in suite.")
]
Profile = Annotated[
    str | None, typer.Option(metavar="NAME", help="The profile to use. Defaults to the first one of the suite.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the suite. Repeatable.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="The folder of results.")]
Images = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Attack N images instead of the suite's own number, more or fewer: a multiple of its micro-batch. "
        "Results are reused.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Attack at most N images, for a quick look.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="The folder of images. Defaults to $BENCH_DATA.")]
Device = Annotated[
    str, typer.Option(metavar="DEVICE", help="The device to compute on: auto, cpu, cuda, cuda:N or mps.")
]
Precise = Annotated[
    PrecisionChoice,
    typer.Option(
        help="The precision of the attacks' gradients. bfloat16 is faster but finds other perturbations. auto is "
        "bfloat16 where torch computes it faster. Outcomes are always evaluated in float32."
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Threads per worker. Results for different numbers of threads are stored separately."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="The number of workers. Defaults to as many as use all cores, or one on a GPU.",
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        parser=memory_size,
        metavar="SIZE",
        help="Compute fewer images at once, so that a worker takes at most this memory, e.g. 2G. Results differ by no "
        "more than rounding.",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        metavar="FORMAT", help="The output format: terminal, markdown, csv, latex, html, json, or one of a plugin."
    ),
]
Intervals = Annotated[bool, typer.Option("--ci", help="Print 95% confidence intervals.")]
NoWarnings = Annotated[bool, typer.Option("--no-warnings", help="Do not print warnings.")]
Plots = Annotated[bool, typer.Option("--plots", help="Save the suite's plots as SVG and PNG in the folder of the run.")]
Baselines = Annotated[Path, typer.Option("--baselines", metavar="DIR", help="The folder of baselines.")]
TrustPaths = Annotated[
    bool,
    typer.Option(
        "--trust-paths", help="Open the files that the run names, and run its Python files. For runs you trust."
    ),
]
NoLimits = Annotated[
    bool,
    typer.Option("--no-limits", help="Do not limit the work that the run asks for. For runs of people that you trust."),
]
