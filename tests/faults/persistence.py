"""Kills and full disks at every operation that stores results; several processes on one suite."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench_core.store import Store

from .world import World, exit_code, in_child

Strike = Callable[[], None]


class _File:
    """A file whose writes are operations; a strike comes when half is written."""

    def __init__(self, file: Any, operation: Callable[[], bool], strike: Strike) -> None:
        self.file, self.operation, self.strike = file, operation, strike

    def write(self, content: bytes) -> int:
        if self.operation():
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            self.strike()
        return int(self.file.write(content))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextlib.contextmanager
def struck(at: int, strike: Strike, lasting: bool = False) -> Iterator[list[str]]:
    """Call `strike` at operation number `at`, or at all from it on; yield the names of the operations."""
    seen: list[str] = []

    def operation(name: str) -> bool:
        seen.append(name)
        return len(seen) - 1 == at or (lasting and len(seen) - 1 > at)

    def before(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if operation(name):
                strike()
            return original(*given, **named)

        return call

    def opened(path: Path, mode: str = "r", *given: Any, **named: Any) -> Any:
        if "w" not in mode:
            return original_open(path, mode, *given, **named)
        if operation("open"):
            strike()
        return _File(original_open(path, mode, *given, **named), lambda: operation("write"), strike)

    original_open = Path.open
    patched = {(os, "fsync"): os.fsync, (Path, "replace"): Path.replace, (Path, "mkdir"): Path.mkdir}
    for (owner, name), original in patched.items():
        setattr(owner, name, before(name, original))
    Path.open = opened  # type: ignore[assignment, method-assign]
    try:
        yield seen
    finally:
        for (owner, name), original in patched.items():
            setattr(owner, name, original)
        Path.open = original_open  # type: ignore[method-assign]


def operations(world: World) -> int:
    """Count the operations with which a complete run stores its results."""
    with struck(-1, lambda: None) as seen:
        world.bench(world.fresh())
    return len(seen)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _full() -> None:
    raise OSError(28, "No space left on device")


def _noting(work: Callable[[], int], notes: Path) -> Callable[[], int]:
    """Make the store write down every job that it acknowledges, before a kill can undo it."""

    def noted() -> int:
        descriptor, put_all = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND), Store.put_all

        def keep(store: Store, bundles: Mapping[str, bytes]) -> None:
            put_all(store, bundles)
            os.write(descriptor, "".join(f"{address}\n" for address in bundles).encode())

        Store.put_all = keep  # type: ignore[method-assign]
        return work()

    return noted


def _acknowledged(notes: Path) -> set[str]:
    return set(notes.read_text().split()) if notes.exists() else set()


def killed_at_an_operation(world: World, trial: int, _random: random.Random) -> str | None:
    """Kill a run at its operation number `trial`, then resume it."""
    out = world.fresh()
    notes, log = out.with_suffix(".notes"), out.with_suffix(".log")

    def work() -> int:
        with struck(trial, _kill):
            return world.bench(out)[0]

    code = exit_code(in_child(_noting(work, notes), log))
    if code != -signal.SIGKILL:
        return f"exit code {code}: {log.read_text()}"
    return world.after_a_fault(out, _acknowledged(notes).__contains__)


def killed_at_a_time(world: World, _trial: int, draw: random.Random) -> str | None:
    """Kill a run at a random moment, then resume it."""
    out = world.fresh()
    notes, log = out.with_suffix(".notes"), out.with_suffix(".log")
    child = in_child(_noting(lambda: world.bench(out)[0], notes), log)
    time.sleep(draw.random() * 0.3)
    os.kill(child, signal.SIGKILL)
    exit_code(child)
    return world.after_a_fault(out, _acknowledged(notes).__contains__)


def full_at_an_operation(world: World, trial: int, _random: random.Random) -> str | None:
    """Make the disk full from an operation on, free it, then resume the run."""
    out = world.fresh()
    with struck(trial, _full, lasting=True):
        code, printed = world.bench(out)
    if (
        code not in (2, 3)
        or printed.count("\n") != 1
        or "No space left on device" not in printed
        or str(out) not in printed
    ):
        return f"exit code {code}: {printed}"
    left = [path.name for path in out.rglob("*.unfinished")] if out.exists() else []
    return f"left behind: {left}" if left else world.after_a_fault(out)


def together(world: World, trial: int, _random: random.Random) -> str | None:
    """Run one suite in two processes at once, or in four."""
    out = world.fresh()
    log = out.with_suffix(".log")
    children = [in_child(lambda: world.bench(out)[0], log) for _ in range(2 + 2 * (trial % 2))]
    codes = [exit_code(child) for child in children]
    if any(codes):
        return f"exit codes {codes}: {log.read_text()}"
    left = [path.name for path in out.rglob("*") if path.name.endswith((".unfinished", ".damaged"))]
    return f"left behind: {left}" if left else world.after_a_fault(out)
