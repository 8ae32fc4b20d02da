"""The command line; thin. A user's mistake is one clear line each and exit code 2, never a traceback."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tabulate import tabulate

from .commands.baseline import app as baseline
from .commands.check import check
from .commands.compare import compare
from .commands.fetch import fetch
from .commands.leaderboard import leaderboard
from .commands.new import new
from .commands.query import query
from .commands.report import report
from .errors import Fault, UsageError, one_line
from .executors.watchdog import memory
from .registry import HOST_GIVES, KINDS, Registry, discover
from .suite.merge import read_override, read_toml
from .suite.model import load_suite, own_suites
from .tables.pivot import Table
from .tables.text_formats import FORMATS, render
from .tables.views import beside_published, pivots
from .types import Precision

if TYPE_CHECKING:
    from .result import Result

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
ABOUT = "An adversarial-robustness benchmark: suites of attacks, models and metrics, and leaderboards to trust."

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of one of bench's own.")]
Profile = Annotated[str | None, typer.Option(help="The profile; the suite's first by default.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; repeatable.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where results and the store are kept.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N images, for a glance.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="The folder of images; also BENCH_DATA.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precise = Annotated[
    Precision,
    typer.Option(
        help="Of the attacks' gradients: bfloat16 is faster and finds other perturbations; all are judged in float32."
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads of each worker; part of every result's address.")]
CellTimeout = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help="What a micro-batch of an attack takes at most.")
]
CellMemory = Annotated[
    int | None,
    typer.Option(parser=memory, metavar="SIZE", help="What a worker may hold, as 800M or 4G; more voids its job."),
]
Format = Annotated[str, typer.Option(help=f"{', '.join(FORMATS)}, or a plugin's.")]
Intervals = Annotated[bool, typer.Option("--ci", help="Print the 95% intervals.")]
NoWarnings = Annotated[bool, typer.Option("--no-warnings", help="Leave out what to be careful of.")]
Plots = Annotated[bool, typer.Option("--plots", help="Save the suite's plots, as SVG and PNG, in the run's folder.")]
HERE = Path("results")


@app.callback(help=ABOUT)
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass


@app.command()
def run(
    suite: SuiteName,
    profile: Profile = None,
    set_: Overrides = None,
    out: Out = HERE,
    limit: Limit = None,
    data: Data = None,
    executor: Annotated[str, typer.Option(help="Who computes: local, inline, ray, or a plugin's.")] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The cluster of the executor: auto finds it, for ray.")
    ] = None,
    executor_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the executor; repeatable.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one a core by default.")] = None,
    device: Device = "auto",
    precision: Precise = "float32",
    threads: Threads = 1,
    cell_timeout: CellTimeout = None,
    cell_memory: CellMemory = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first void, with exit code 3.")] = False,
    format: Format = "terminal",
    ci: Intervals = False,
    no_warnings: NoWarnings = False,
    plots: Plots = False,
) -> None:
    """Run a suite, print its tables, and leave all results in DIR/SUITE/PROFILE/."""
    from .executors import Limits
    from .progress import for_stream
    from .run import run as run_suite

    registry = discover()
    check_format(format, registry)
    result = run_suite(
        load_suite(suite, profile, with_data(set_, data)),
        out=out, limit=limit, executor=executor, executor_options=options_given(executor_option, address),
        workers=workers, device=device, precision=precision, threads=threads, registry=registry, progress=for_stream(),
        limits=Limits(cell_timeout, cell_memory), strict=strict, warn=not no_warnings,
    )  # fmt: skip
    print_tables(result.tables, format, ci, registry)
    print(f"bench: all results are in {one_line(str(result.folder))}", file=sys.stderr)
    if plots:
        save_plots(result, registry)
    if not result.complete:
        for reason in sorted(set(result.voids.values())):
            print(f"bench: void: {one_line(reason)}", file=sys.stderr)
        raise typer.Exit(3)


def options_given(given: Sequence[str] | None, address: str | None) -> dict[str, Any]:
    """Read an executor's options, TOML values or plain text."""
    options: dict[str, Any] = {} if address is None else {"address": address}
    for text in given or []:
        options |= read_override(text, "--executor-option")
    return options


@app.command()
def show(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite that was run, or the folder of a run.")],
    profile: Profile = None,
    out: Out = HERE,
    format: Format = "terminal",
    ci: Intervals = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Put published values and the difference in columns of their own.")
    ] = False,
    by: Annotated[
        str | None, typer.Option(metavar="LABELS", help="The labels of the rows: target, or target,attack.")
    ] = None,
    no_warnings: NoWarnings = False,
    plots: Plots = False,
) -> None:
    """Print the tables of a finished run again, without computing anything."""
    from .result import load_result, safe_name

    folder = Path(suite)
    if not (folder / "run.json").is_file():
        loaded = load_suite(suite, profile)
        folder = out / safe_name(loaded.name) / safe_name(loaded.profile)
    registry = discover()
    result = load_result(folder, registry, not no_warnings)
    tables = result.tables if by is None else pivots(result, by.split(","))
    print_tables([beside_published(each) for each in tables] if reference else tables, format, ci, registry)
    if plots:
        save_plots(result, registry)


def with_data(overrides: Sequence[str] | None, data: str | None) -> list[str]:
    return [*(overrides or []), *([f"data.root={json.dumps(data)}"] if data is not None else [])]


def print_tables(tables: Sequence[Table], form: str, intervals: bool, registry: Registry) -> None:
    bold = sys.stdout.isatty()
    print("\n".join(render(table, form, intervals, bold, registry.manager) for table in tables), end="")


def save_plots(result: Result, registry: Registry) -> None:
    from .plots import write_plots

    files = write_plots(result, registry)
    where = one_line(str(result.folder / "plots"))
    told = f"{len(files) // 2} plots are in {where}" if files else "the suite has no plots"
    print(f"bench: {told}", file=sys.stderr)


def check_format(form: str, registry: Registry) -> None:
    """Refuse an unknown format before the work, not after it."""
    render(Table("", "", (), 0, (), False, ()), form, False, False, registry.manager)


@app.command()
def plan(
    suite: SuiteName,
    profile: Profile = None,
    set_: Overrides = None,
    out: Out = HERE,
    limit: Limit = None,
    data: Data = None,
    device: Device = "auto",
    precision: Precise = "float32",
    threads: Threads = 1,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Estimate time and memory on this machine: runs a short piece of each attack."),
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="The workers that the estimated time is for.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show what a run would compute, what it would cost, and what is stored already."""
    from .executors.calibrate import estimate
    from .planning.describe import plan_record, plan_text
    from .planning.plan import make_plan
    from .progress import for_stream
    from .run import resolve_suite
    from .store import Store

    resolved = resolve_suite(
        load_suite(suite, profile, with_data(set_, data)),
        device=device, precision=precision, threads=threads, limit=limit,
    )  # fmt: skip
    if cost and resolved.images is None:
        message = f"cannot be estimated without images: {resolved.data_missing}"
        raise UsageError(Fault(resolved.suite.file, "--cost", message))
    made = make_plan(resolved, Store(out / "store"))
    told = estimate(made, out, workers, for_stream()) if cost else None
    print(json.dumps(plan_record(made, told), indent=1) if as_json else plan_text(made, told))


@app.command()
def plugins(
    block: Annotated[list[str] | None, typer.Option(help="Leave a plugin out, by its name; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List what is installed: names, packages and versions, options with type and default; what failed, and why."""
    registry = discover(block or ())
    if as_json:
        print(json.dumps(plugin_records(registry), indent=1))
        return
    for kind in KINDS:
        rows = []
        for name in registry.names(kind):
            offer = registry.offers[kind, name]
            package = f"{offer.origin.package} {offer.origin.version}"
            rows.append([name, offer.recipe.summary, package, ""])
            for option in offer.options:
                default = "required" if option.required else f"= {json.dumps(option.default)}"
                rows.append(["", f"  {option.name}: {option.type} {default}", "", offer.origin.plugin])
        if rows:
            clean = [[one_line(str(entry)) for entry in row[:3]] for row in rows]
            print(
                tabulate(clean, [kind, "what it is, and its options", "from"], "simple", disable_numparse=True) + "\n"
            )
    for each in registry.unavailable:
        print(one_line(f"unavailable: {each.plugin} ({each.package}): {each.reason}"))


def plugin_records(registry: Registry) -> dict[str, Any]:
    offers = [
        {
            "kind": kind, "name": name, "summary": offer.recipe.summary, "plugin": offer.origin.plugin,
            "package": offer.origin.package, "version": offer.origin.version, "source": offer.origin.source,
            "options": [vars(option) for option in offer.options], "host_gives": list(HOST_GIVES.get(kind, ())),
        }
        for (kind, name), offer in sorted(registry.offers.items())
    ]  # fmt: skip
    return {"offers": offers, "unavailable": [vars(each) for each in registry.unavailable]}


@app.command()
def suites() -> None:
    """List bench's own suites and their profiles."""
    rows = []
    for name, path in own_suites().items():
        table = read_toml(path)
        rows.append([name, ", ".join(table.get("profiles", [])), one_line(str(table.get("title", "")))])
    print(tabulate(rows, ["suite", "profiles", "title"], "simple", disable_numparse=True))


app.command()(check)
app.command()(new)
app.command()(compare)
app.command()(leaderboard)
app.command()(report)
app.command()(fetch)
app.command()(query)
app.add_typer(baseline, name="baseline")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 good, 2 a mistake of the user's, 3 incomplete, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:  # wherever it stands
        given = ["--debug", *(each for each in given if each != "--debug")]
    sys.exit(guard(lambda: app(given, prog_name="bench", standalone_mode=False), debug))


def guard(command: Callable[[], Any], debug: bool) -> int:
    """Turn what a command raises into one line each and an exit code."""
    from .executors.dispatch import Incomplete, Interrupted

    try:
        code = command()
        return code if isinstance(code, int) else 0
    except typer.Exit as leave:
        return leave.exit_code
    except UsageError as error:
        if debug:
            raise
        return tell(2, *error.faults)
    except Incomplete as error:
        return tell(3, f"{error}; what finished is stored, the same command goes on")
    except (KeyboardInterrupt, Interrupted, typer.Abort):
        return tell(130, "interrupted; what finished is stored, the same command goes on")
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if debug:
            raise
        return tell(3, f"{error.filename or ''}: {error.strerror or error}")
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own; which classes they are depends on its version
            return usage(error)
        if debug:
            raise
        return tell(3, f"{type(error).__name__}: {error} (a fault of bench or of a plugin; --debug shows where)")


def usage(error: Any) -> int:
    """Say what is wrong with a command line: in one line, or with the help where there was nothing on it."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 2
    context = getattr(error, "ctx", None)
    return tell(2, Fault(context.command_path if context else "bench", "", error.format_message()))


def tell(code: int, *messages: object) -> int:
    for message in messages:
        print(f"bench: {one_line(str(message))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
