"""Plugins that misbehave in every way, on every available executor: their own cells are void, and no others."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench_core.executors import NO_LIMITS
from bench_core.registry import discover
from bench_core.result import Result
from bench_core.run_suite import run
from tests.conftest import SUITE
from tests.toys import MISBEHAVIOURS

from .installed import BURDENS, METRICS, install, limits_for
from .world import World

ONE_JOB = SUITE.replace("count = 12", "count = 5").replace('["A", ["A", "B"]]', '["A"]')
ENDING = {"exits"} | set(BURDENS)  # they end their process, or a limit ends it
ATTACKS = {name: reason for name, (_, reason) in {**MISBEHAVIOURS, **BURDENS}.items()}
ON_RAY = sorted(set(MISBEHAVIOURS) - ENDING)
WAYS = [
    *(("inline", [name], []) for name in sorted(set(ATTACKS) - ENDING)),
    *(("local", [name], []) for name in sorted(ATTACKS)),
    *(("inline", [], [name]) for name in sorted(set(METRICS) - {"exiting"})),
    *(("local", [], [name]) for name in sorted(METRICS)),
    *([("ray", ON_RAY, [])] if find_spec("ray") else []),
]


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        install(folder, patch)
        yield


def misbehaving(world: World, trial: int, _random: random.Random) -> str | None:
    """Run a suite with one plugin that misbehaves and one that does not."""
    executor, attacks, metrics = WAYS[trial]
    out = world.fresh()
    out.mkdir()
    with installed(out / "plugins"):
        registry = discover()
        rows = "".join(f'"{name}" = {{ recipe = "bad_{name}" }}\n' for name in attacks)
        broken = "".join(f'{name} = {{ recipe = "{name}" }}\n' for name in metrics)
        text = ONE_JOB.replace("[attacks]\n", f"[attacks]\n{rows}").replace("[metrics]\n", f"[metrics]\n{broken}")
        for name, content in (("toy", text), ("good", ONE_JOB)):
            (out / f"{name}.toml").write_text(content)
        good = run(str(out / "good.toml"), out=out / "r", executor="inline", registry=registry)
        if executor == "local":
            limits = limits_for(attacks) if set(attacks) & ENDING else NO_LIMITS
            result = run(str(out / "toy.toml"), out=out / "r", registry=registry, limits=limits, workers=1)
        else:
            result = run(str(out / "toy.toml"), out=out / "r", registry=registry, executor=executor)
    return _wrong(result, good, attacks, metrics)


def _wrong(result: Result, good: Result, attacks: list[str], metrics: list[str]) -> str | None:
    reasons = {name: ATTACKS[name] for name in attacks} | {name: METRICS[name][1] for name in metrics}
    for score in (score for score in result.scores if score.void):
        name = score.labels.get("attack") if attacks else score.metric.partition(".")[0]
        if name not in reasons:
            return f"void as well: {score.metric} {score.labels}: {score.void}"
        if reasons[name] not in score.void or "\n" in score.void:
            return f"{name}: another reason: {score.void}"
    void = {
        score.labels.get("attack") if attacks else score.metric.partition(".")[0]
        for score in result.scores
        if score.void
    }
    if void != set(reasons):
        return f"not void: {sorted(set(reasons) - void)}"
    sound = [score.record() for score in result.scores if score.labels.get("attack") not in attacks and not score.void]
    return None if sound == [score.record() for score in good.scores] else "the sound plugin's scores differ"


def command_line(world: World, trial: int, _random: random.Random) -> str | None:
    """Run the command line with mistakes: one line, exit code 2 or 3, no traceback."""
    out = world.fresh()
    out.write_text("")
    arguments = [
        ["run", "transfer_table1", "--out", str(out)],
        ["run", str(world.folder / "missing.toml")],
        ["run", "transfer_table1", "--cell-memory", "much"],
        ["run", "transfer_table1", "--executor", "inline", "--cell-timeout", "5"],
        ["show", str(out)],
        ["leaderboard", str(out)],
    ][trial]
    command = [sys.executable, "-m", "bench_core.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=world.folder)
    if done.returncode not in (2, 3) or len(done.stderr.splitlines()) != 1 or "Traceback" in done.stderr:
        return f"{arguments}: exit code {done.returncode}: {done.stderr}"
    return None
