"""A plugin that harms its process voids its own cells and no others."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.cli import app, guard
from bench_core.commands.options import memory_size as memory
from bench_core.errors import Incomplete, UsageError
from bench_core.executors import Limits
from bench_core.result import Result
from tests.executors.processes import wait_until, workers_of

from .installed import BURDENS, ENDLESS, METRICS, install, limits_for

ONE_JOB = (("count = 12", "count = 5"), ('["A", ["A", "B"]]', '["A"]'))
IN_PROC = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "plugins", monkeypatch)


def voids(result: Result, dimension: str) -> dict[str, str]:
    return {str(s.labels.get(dimension, "") or s.metric): s.void for s in result.scores if s.void}


def attacked_by(names: list[str], write_suite: Callable[..., str], sound: str = "") -> str:
    rows = "".join(f'"{name}" = {{ recipe = "bad_{name}" }}\n' for name in names) + sound
    return write_suite(*ONE_JOB, ("[attacks]\n", f"[attacks]\n{rows}"))


def check_burdens(names: list[str], write_suite: Callable[..., str], tmp_path: Path) -> None:
    good = run(write_suite(*ONE_JOB, name="good"), out=tmp_path / "out", executor="inline")
    before = set(workers_of(os.getpid()))
    for some in (ENDLESS & set(names), set(names) - ENDLESS):
        if not some:
            continue
        limits = limits_for(some)  # the sound jobs are stored, so that no limit can stop them
        sound = "" if some & ENDLESS else '"prints" = { recipe = "prints" }\n'  # whose output is not taken for a result
        suite = attacked_by(sorted(some), write_suite, sound)
        result = run(suite, out=tmp_path / "out", workers=2, limits=limits)
        reasons = voids(result, "attack")
        assert {name: BURDENS[name][1] in reason for name, reason in reasons.items()} == dict.fromkeys(some, True), (
            reasons
        )
        kept = [score.record() for score in result.scores if score.labels.get("attack") == "PGD"]
        assert kept == [score.record() for score in good.scores if score.labels.get("attack") == "PGD"]
    wait_until(lambda: not set(workers_of(os.getpid())) - before)


@IN_PROC
def test_a_plugin_that_hangs_fills_memory_or_crashes_voids_its_own_cells(write_suite, tmp_path) -> None:
    check_burdens(["hangs", "fills", "segfaults"], write_suite, tmp_path)


@IN_PROC
@pytest.mark.slow
def test_no_other_way_of_harming_a_process_harms_more(write_suite, tmp_path) -> None:
    check_burdens(sorted(set(BURDENS) - {"hangs", "fills", "segfaults"}), write_suite, tmp_path)


@pytest.mark.parametrize("name", ["raising", "short"])
def test_a_metric_voids_its_own_cells_and_not_those_of_other_metrics(name, write_suite, tmp_path) -> None:
    broken = write_suite(*ONE_JOB, ("[metrics]\n", f'[metrics]\nbroken = {{ recipe = "{name}" }}\n'))
    result = run(broken, out=tmp_path / "broken", executor="inline")
    assert voids(result, "") == {"broken.*": next(iter(voids(result, "").values()))}
    assert METRICS[name][1] in voids(result, "")["broken.*"]
    good = run(write_suite(*ONE_JOB, name="good"), out=tmp_path / "good", executor="inline")
    assert [s.record() for s in result.scores if not s.void] == [s.record() for s in good.scores]


def test_strict_stops_at_the_first_void(write_suite, tmp_path, capsys) -> None:
    suite = write_suite(('"PGD" =', '"bad" = { recipe = "bad_nan" }\n"PGD" ='))
    with pytest.raises(Incomplete, match=r"void: source A\+B, attack bad, budget linf: NaN or infinity"):
        run(load_suite(suite), out=tmp_path / "r", executor="inline", strict=True)
    assert not (tmp_path / "r" / "toy").exists()
    command = ["run", suite, "--out", str(tmp_path / "r"), "--executor", "inline", "--strict"]
    assert guard(lambda: app(command, prog_name="bench", standalone_mode=False), False) == 3
    assert "NaN or infinity" in capsys.readouterr().err


def test_limits_that_cannot_be_enforced_or_read_are_rejected(write_suite, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"--executor: .inline. cannot.*try local"):
        run(write_suite(), out=tmp_path, executor="inline", limits=Limits(seconds=6))
    assert (memory("800M"), memory("4G"), memory("2gib")) == (800 * 2**20, 4 * 2**30, 2 * 2**30)
    for wrong in ("", "4", "0G", "-1G", "4X", "G"):
        with pytest.raises(UsageError, match="--memory: found"):
            memory(wrong)


def test_a_folder_that_cannot_be_written_is_named(write_suite, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        command = ["run", write_suite(), "--out", str(out), "--executor", "inline"]
        assert guard(lambda: app(command, prog_name="bench", standalone_mode=False), False) == 2  # noqa: B023
        (line,) = capsys.readouterr().err.splitlines()
        assert f"--out: {out}: cannot write there: " in line


def test_a_full_disk_names_the_folder_and_loses_nothing(write_suite, tmp_path, monkeypatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Incomplete, match=f"cannot keep results in {tmp_path}/out/store: No space left on device"):
            run(write_suite(), out=tmp_path / "out", executor="inline")
    result = run(write_suite(), out=tmp_path / "out", executor="inline")
    assert result.complete
    assert json.loads((result.folder / "run.json").read_text())["voids"] == []
