"""`bench plan --cost` states passes as they are counted, time extrapolated from a few steps, and peak memory."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.executors import Outcome, Task, calibrate
from bench_core.executors.calibrate import (
    estimate,
    measure,
    peak_memory,
    read_paces,
    reset_peak_memory,
    write_paces,
)
from bench_core.planning.cost import Estimate, Pace, group_of
from bench_core.planning.describe import plan_record
from bench_core.planning.plan import make_plan
from bench_core.progress import Silent
from bench_core.reports.plan import plan_text
from bench_core.run_suite import resolve_suite
from bench_core.store import Store, pack
from bench_core.tables.sheet import duration
from tests.commands.test_cli import GOOD

from .made import planned_attack

JOB = planned_attack(steps=100)


class FakeWorker:
    """A worker on a fake clock: a job takes `fixed` seconds and `step` per step; the start takes `start` once."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, fixed: float = 0.5, step: float = 0.1, start: float | None = None
    ) -> None:
        self.now, self.fixed, self.step, self.start = 0.0, fixed, step, start or 0.0
        self.process = SimpleNamespace(pid=-1) if start is None else None
        self.steps: list[int] = []
        monkeypatch.setattr(calibrate.time, "perf_counter", lambda: self.now)

    @property
    def running(self) -> bool:
        return self.process is not None

    def compute(self, task: Task) -> Outcome:
        steps = task.spec["budget"]["steps"]
        self.steps.append(steps)
        self.now += self.fixed + self.step * steps + (0 if self.process else self.start)
        self.process = SimpleNamespace(pid=-1)
        passes = {"attack/forwards": np.array([1 + 2 * steps]), "attack/backwards": np.array([2 * steps])}
        return Outcome("", pack(passes))


def test_the_cost_of_all_steps_is_extrapolated_from_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = FakeWorker(monkeypatch)
    pace = measure(JOB, [], worker)
    assert worker.steps == [1, 1, 4]
    assert pace.seconds == pytest.approx(0.5 + 0.1 * 100)
    assert pace.passes == pytest.approx((201, 200))


def test_a_long_trial_is_not_repeated_to_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = FakeWorker(monkeypatch, fixed=60)
    assert measure(JOB, [], worker).seconds == pytest.approx(60 + 0.1 * 100)
    assert worker.steps == [1, 4]


def test_the_start_of_a_worker_is_not_part_of_the_jobs_time(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = FakeWorker(monkeypatch, start=40)
    assert measure(JOB, [], worker).seconds == pytest.approx(0.5 + 0.1 * 100)
    assert worker.steps == [1, 1, 4]
    assert measure(JOB, [], FakeWorker(monkeypatch, fixed=60, start=40)).seconds == pytest.approx(60 + 0.1 * 100)


def test_the_estimate_covers_what_is_missing_from_the_store(tmp_path: Path) -> None:
    pytest.importorskip("torchattacks")
    path = tmp_path / "small.toml"
    path.write_text(
        GOOD.replace('"IR" =', '"VMI" = { recipe = "torchattacks:VMIFGSM", N = 2 }\n"IR" =').replace(
            "steps = 2", "steps = 6"
        )
    )
    suite = load_suite(str(path))

    def plan():
        return make_plan(resolve_suite(suite), Store(tmp_path / "store"))

    uncalibrated = plan_text(plan())
    assert "~72" in uncalibrated  # 4 images, 6 steps, and 1 + N gradients in each
    assert "(--cost counts them)" in uncalibrated
    estimated = estimate(plan(), tmp_path, 2, Silent())
    assert estimated.measured == len(estimated.paces) == 2 + 3
    assert not estimated.voids
    assert estimated.peak_bytes is None or 10**8 < estimated.peak_bytes < 10**10
    again = estimate(plan(), tmp_path, 2, Silent())
    assert (again.measured, again.paces) == (0, estimated.paces)
    record = plan_record(plan(), estimated)
    assert record["estimate"]["seconds"] == sum(group["seconds"] for group in record["groups"]) / 2 > 0
    text = plan_text(plan(), estimated)
    assert "~" not in text
    assert "with 2 workers" in text

    result = run(suite, out=tmp_path, executor="inline")
    for group in record["groups"]:
        if group["attack"]:
            for name in ("forwards", "backwards"):
                counted = result.arrays("attack", attack=group["attack"])[name].sum()
                assert group[name] == pytest.approx(counted), (group["attack"], name)
    done = plan_record(plan(), estimate(plan(), tmp_path, None, Silent()))
    assert done["estimate"]["seconds"] == 0


def test_a_job_that_fails_is_reported_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = FakeWorker(monkeypatch)
    worker.compute = lambda task: Outcome("", reason="raised ValueError: no")  # type: ignore[method-assign]
    pace = measure(JOB, [], worker)
    assert pace.void == "raised ValueError: no"
    estimated = Estimate({group_of(JOB): pace}, 1, 1)
    assert estimated.seconds(JOB) == 0
    assert estimated.voids == ["raised ValueError: no"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"a": 1}', '{"a": {"nonsense": 1}}', '{"a": {"images": 1, "passes": 3}}']
)
def test_a_damaged_cache_is_ignored(content: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    assert read_paces(path) == {}


def test_cached_paces_are_read_back_without_the_failed_ones(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    measured = Pace(5, 1.5, (3.0, 2.0), 10**9)
    write_paces(path, {"a": measured, "b": Pace(5, void="raised ValueError: no")})
    assert read_paces(path) == {"a": measured}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_peak_memory_is_counted_from_the_last_reset(tmp_path: Path) -> None:
    code = "a = bytearray(b'x' * (200 << 20)); del a; print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        before = peak_memory(process.pid)
        reset_peak_memory(process.pid)
        after = peak_memory(process.pid)
        process.communicate(b"\n")
    assert before > 200 << 20 > after


def test_without_images_the_passes_of_the_complete_suite_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(GOOD)
    suite = load_suite(str(path), overrides=['data = { kind = "imagefolder" }', "images.count = 50"])
    plan = make_plan(resolve_suite(suite), Store(tmp_path / "store"))
    pgd, ir = plan_record(plan)["groups"]
    steps, targets = 2, 1
    assert (pgd["forwards"], pgd["backwards"], pgd["evaluations"]) == (50 * steps, 50 * steps, 50 * steps * targets)
    assert ir["forwards"] == 50 * (3 * steps + 1)
    assert f"for 50 images: {ir['forwards'] + pgd['forwards'] + 2 * 50 * steps:.0f} forward and " in plan_text(plan)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (42, "42 s"), (150, "2.5 min"), (3000, "50 min"), (9000, "2.5 h")],
)
def test_durations_have_two_significant_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
