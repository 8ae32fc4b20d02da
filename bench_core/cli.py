"""The command line: builds the app, reports each error in one line and returns an exit code."""

from __future__ import annotations

import functools
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from .commands.badge import badge
from .commands.baseline import app as baseline
from .commands.check import check
from .commands.compare import compare
from .commands.export import export
from .commands.fetch import fetch
from .commands.init import init
from .commands.judge import judge
from .commands.leaderboard import leaderboard
from .commands.new import new
from .commands.plan import plan
from .commands.plugins import plugins
from .commands.publish import publish
from .commands.query import query
from .commands.report import report
from .commands.run import run
from .commands.show import show
from .commands.site import site
from .commands.submit_check import submit_check
from .commands.suites import suites
from .commands.verify import verify
from .errors import INTERRUPTED, Fault, Incomplete, Interrupted, UsageError, one_line

STORED = "finished results are stored"
STORING = {"run", "judge", "export", "report"}  # the commands that do nothing else before they store results
COMMANDS: Mapping[str, Callable[..., None] | typer.Typer] = {
    "run": run, "show": show, "plan": plan, "plugins": plugins, "suites": suites, "check": check, "new": new,
    "compare": compare, "leaderboard": leaderboard, "report": report, "fetch": fetch, "query": query,
    "baseline": baseline, "export": export, "judge": judge, "badge": badge, "init": init, "publish": publish,
    "verify": verify, "submit-check": submit_check, "site": site,
}  # fmt: skip


def print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        print(f"bench {__version__}")
        raise typer.Exit


def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, then exit.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    pass  # `main` reads --debug itself, since it is accepted at any position; declared here for `--help`


def called_by(argv: Sequence[str]) -> str:
    """Return the command that is called, "" if there is none."""
    return next((word for word in argv if not word.startswith("-")), "")


def app_for(argv: Sequence[str]) -> typer.Typer:
    """Build the app with the command that is called, since typer needs milliseconds for each; or else with all."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback(help="Benchmark adversarial attacks and the robustness of models.")(common)
    called = called_by(argv)
    for name in [called] if called in COMMANDS else COMMANDS:
        command = COMMANDS[name]
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(interruptible(command))
    return app


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that raises Interrupted with its notes on Ctrl-C; some versions of typer exit silently."""

    @functools.wraps(command)
    def called(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as stopped:
            interrupted = Interrupted()
            for note in getattr(stopped, "__notes__", []):
                interrupted.add_note(note)
            raise interrupted from None

    return called


app = app_for(())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    The exit code is 0 for success, 1 for a failed check, 2 for a mistake of the user, 3 for an incomplete run, 130
    after Ctrl-C, 143 after SIGTERM and 129 after SIGHUP.
    """
    gc.set_threshold(50_000)  # start-up makes many objects that live to the end, which need not be searched for garbage
    argv = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in argv
    if debug:  # accepted at any position
        argv = ["--debug", *(argument for argument in argv if argument != "--debug")]
    print_replacements()
    with terminable() as received:
        kept = STORED if called_by(argv) in STORING else ""
        code = guard(lambda: app_for(argv)(argv, prog_name="bench", standalone_mode=False), debug, kept)
    sys.exit(128 + received[0] if received and code == INTERRUPTED else code)


def print_replacements() -> None:
    """Make stdout and stderr print "?" for a character that their encoding lacks, as in the C locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def terminable() -> Iterator[list[int]]:
    """Treat SIGTERM and SIGHUP (a closed terminal) like Ctrl-C; yield a list of the signals received.

    A second one ends the process at once. A signal that is ignored, as SIGHUP is under nohup, stays ignored.
    """
    received: list[int] = []
    terminals = [fd for fd in (1, 2) if os.isatty(fd)]

    def interrupt(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        if number != signal.SIGTERM:  # writing to the closed terminal would fail before the folder is written
            for fd in terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
        raise KeyboardInterrupt

    ends = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        ends = []
    before = {end: signal.getsignal(end) for end in ends}
    for end, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(end, interrupt)
    try:
        yield received
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def guard(command: Callable[[], Any], debug: bool, kept: str = "") -> int:
    """Run a command and return its exit code. Print one line on stderr for each error that it raises.

    Args:
        command: The command.
        debug: Whether errors are raised.
        kept: What the user has of the command if it is interrupted and does not say so itself; "" for nothing.
    """
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except typer.Exit as requested:
        return requested.exit_code
    except UsageError as error:
        if debug:
            raise
        return fail(2, *error.faults)
    except Incomplete as error:
        return fail(3, f"{error}; {what_is_kept(error) or STORED}, run the same command to continue")
    except (KeyboardInterrupt, Interrupted, typer.Abort) as stopped:
        has = what_is_kept(stopped) or kept
        return fail(INTERRUPTED, f"interrupted; {has}, run the same command to continue" if has else "interrupted")
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if debug:
            raise
        return fail(3, f"{error.filename or ''}: {error.strerror or error}")
    except Exception as error:
        if hasattr(error, "format_message"):  # an error of typer, whose classes depend on its version
            return usage(error)
        if debug:
            raise
        return fail(3, f"{type(error).__name__}: {error} (an error in bench or in a plugin; --debug shows where)")


def what_is_kept(stopped: BaseException) -> str:
    """Return what the user has of a command that was stopped, from the notes that `run` and `site` add."""
    return "; ".join(getattr(stopped, "__notes__", []))


def usage(error: Any) -> int:
    """Print what is wrong with a command line, or the help if it was empty. Return the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 2
    context = getattr(error, "ctx", None)
    return fail(2, Fault(context.command_path if context else "bench", "", error.format_message()))


def fail(code: int, *messages: object) -> int:
    """Print messages to stderr, and return the exit code."""
    for message in messages:
        print(f"bench: {one_line(str(message))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
