"""A world to break: a toy suite that runs in a tenth of a second, its reference tables, and processes to kill."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import traceback
from collections.abc import Callable
from pathlib import Path

from bench_core.cli import guard
from bench_core.registry import Origin, Registry, discover
from bench_core.run_suite import run
from bench_core.segments import Bundle, read_index
from bench_core.store import Store
from bench_core.suite.load import load_suite
from tests.conftest import SUITE
from tests.toys import ToyPlugin


def toy_registry() -> Registry:
    found = discover()
    found.register(ToyPlugin(), Origin("toys", "tests", "1", "toys-source"))
    return found


def stored(store: Store) -> list[tuple[str, Bundle]]:
    """Return the address and the place of each bundle in a store. Raises ValueError if an index is damaged."""
    files = sorted(store.root.rglob("*.safetensors"))
    segments = sorted(store.root.rglob("*.segment"))
    return [
        *((path.parent.name, Bundle(path, path.stem)) for path in files),
        *(bundle for path in segments for bundle in read_index(path).items()),
    ]


class World:
    """A folder with the toy suite and the tables of an undisturbed run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.registry = folder, toy_registry()
        folder.mkdir(parents=True, exist_ok=True)
        self.suite = folder / "toy.toml"
        # two jobs are computed together, and stored as one file, and one job alone
        self.suite.write_text(SUITE.replace("micro_batch = 5", "micro_batch = 5\ntogether = 10"))
        self.made = 0
        reference = self.fresh()
        assert self.bench(reference) == (0, "")
        self.expected = self.tables(reference)
        self.reference = reference

    def fresh(self) -> Path:
        """Return the path of a new folder for results."""
        self.made += 1
        return self.folder / f"out{os.getpid()}-{self.made}"

    def bench(self, out: Path, suite: Path | None = None) -> tuple[int, str]:
        """Run a suite as the command line does; return the exit code and the standard error."""

        def command() -> None:
            run(load_suite(str(suite or self.suite)), out=out, executor="inline", registry=self.registry)

        printed = io.StringIO()
        with contextlib.redirect_stderr(printed):
            code = guard(command, False)
        return code, printed.getvalue()

    def tables(self, out: Path) -> dict[str, str]:
        """Return the digest of every file of a run's folder, by its path."""
        runs = out / "toy" / "toy"
        files = [file for file in sorted(runs.rglob("*")) if file.is_file() and file.suffix != ".unfinished"]
        files = [file for file in files if file.name != "run.json"]  # which names the suite's file
        return {str(file.relative_to(runs)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def after_a_fault(self, out: Path, kept: Callable[[str], bool] = lambda _address: False) -> str | None:
        """Resume a run after a fault; return what was lost, torn, computed again or different, or None.

        `kept` returns whether the store had acknowledged the job of an address.
        """
        bundles = stored(Store(out / "store"))
        for _, bundle in bundles:
            if hashlib.sha256(bundle.read()).hexdigest() != bundle.digest:
                return f"a torn entry: {bundle}"
        times = {bundle.path: bundle.path.stat().st_mtime_ns for _, bundle in bundles}
        present = {address for address, _ in bundles}
        lost = [address for address in self.addresses() if kept(address) and address not in present]
        if lost:
            return f"{len(lost)} finished jobs are lost"
        code, printed = self.bench(out)
        if (code, printed) != (0, ""):
            return f"the run does not go on: exit code {code}: {printed}"
        if self.tables(out) != self.expected:
            return "the tables are others"
        if {path: path.stat().st_mtime_ns for path in times} != times:
            return "a finished job was computed again"
        return None

    def addresses(self) -> list[str]:
        return [address for address, _ in stored(Store(self.reference / "store"))]


def in_child(work: Callable[[], int], log: Path) -> int:
    """Run `work` in a child process and return its id; its standard error goes to `log`."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            code = work()
        except BaseException:
            log.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    return child


def exit_code(child: int) -> int:
    """Wait for a process and return its exit code, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
