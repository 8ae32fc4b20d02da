"""`bench plan --cost` says what a run will cost: passes as they are counted, time from a short measurement, memory."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.executors import Outcome, Task
from bench_core.planning import cost as calibration
from bench_core.planning.cost import Estimate, estimate, group_of, measure, peak, read_paces, reset_peak
from bench_core.planning.describe import plan_record
from bench_core.planning.plan import make_plan
from bench_core.progress import Silent
from bench_core.reports.plan import plan_text
from bench_core.run import resolve_suite
from bench_core.store import Store, pack
from bench_core.tables.sheet import duration
from tests.commands.test_cli import GOOD

from .made import planned_attack

JOB = planned_attack(steps=100)


class Paced:
    """Stands for a worker: so many seconds and passes at once and for each step, and some to start, once."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, once: float = 0.5, step: float = 0.1, start: float | None = None
    ) -> None:
        self.now, self.once, self.step, self.start = 0.0, once, step, start or 0.0
        self.process = SimpleNamespace(pid=-1) if start is None else None
        self.asked: list[int] = []
        monkeypatch.setattr(calibration.time, "perf_counter", lambda: self.now)

    def ask(self, task: Task) -> Outcome:
        steps = task.spec["budget"]["steps"]
        self.asked.append(steps)
        self.now += self.once + self.step * steps + (0 if self.process else self.start)
        self.process = SimpleNamespace(pid=-1)
        counted = {"attack/forwards": np.array([1 + 2 * steps]), "attack/backwards": np.array([2 * steps])}
        return Outcome("", pack(counted))


def test_a_few_steps_tell_what_all_take(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Paced(monkeypatch)
    pace = measure(JOB, [], worker)
    assert worker.asked == [1, 1, 4]
    assert pace.seconds == pytest.approx(0.5 + 0.1 * 100)
    assert pace.passes == pytest.approx((201, 200))


def test_a_long_piece_is_not_repeated_to_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Paced(monkeypatch, once=60)
    assert measure(JOB, [], worker).seconds == pytest.approx(60 + 0.1 * 100)
    assert worker.asked == [1, 4]


def test_what_a_worker_takes_to_start_is_no_time_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Paced(monkeypatch, start=40)
    assert measure(JOB, [], worker).seconds == pytest.approx(0.5 + 0.1 * 100)
    assert worker.asked == [1, 1, 4]
    assert measure(JOB, [], Paced(monkeypatch, once=60, start=40)).seconds == pytest.approx(60 + 0.1 * 100)


def test_the_cost_of_a_suite_and_of_what_it_lacks(tmp_path: Path) -> None:
    pytest.importorskip("torchattacks")
    path = tmp_path / "small.toml"
    path.write_text(
        GOOD.replace('"IR" =', '"VMI" = { recipe = "torchattacks:VMIFGSM", N = 2 }\n"IR" =')
        .replace("count = 4", 'count = 4\nmodels = ["VGG"]')
        .replace("steps = 2", "steps = 6")
    )
    suite = load_suite(str(path))

    def plan():
        return make_plan(resolve_suite(suite), Store(tmp_path / "store"))

    blind = plan_text(plan())
    assert "~24" in blind
    assert "(--cost counts them)" in blind
    told = estimate(plan(), tmp_path, 2, Silent())
    assert told.measured == len(told.paces) == 2 + 3
    assert not told.voids
    assert told.peak_bytes is None or 10**8 < told.peak_bytes < 10**10
    again = estimate(plan(), tmp_path, 2, Silent())
    assert (again.measured, again.paces) == (0, told.paces)
    record = plan_record(plan(), told)
    assert record["estimate"]["seconds"] == sum(each["seconds"] for each in record["groups"]) / 2 > 0
    text = plan_text(plan(), told)
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


def test_what_cannot_be_measured_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Paced(monkeypatch)
    worker.ask = lambda task: Outcome("", reason="raised ValueError: no")  # type: ignore[method-assign]
    pace = measure(JOB, [], worker)
    assert pace.void == "raised ValueError: no"
    told = Estimate({group_of(JOB): pace}, 1, 1)
    assert told.seconds(JOB) == 0
    assert told.voids == ["raised ValueError: no"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"a": 1}', '{"a": {"nonsense": 1}}', '{"a": {"images": 1, "passes": 3}}']
)
def test_a_damaged_calibration_is_none(content: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    assert read_paces(path) == {}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's own peak of a process")
def test_the_peak_is_that_of_the_piece(tmp_path: Path) -> None:
    code = "a = bytearray(b'x' * (200 << 20)); del a; print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        before = peak(process.pid)
        reset_peak(process.pid)
        after = peak(process.pid)
        process.communicate(b"\n")
    assert before > 200 << 20 > after


def test_without_images_the_passes_of_all_that_the_suite_wants_are_told(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(GOOD)
    suite = load_suite(str(path), overrides=['data = { kind = "imagefolder" }', "images.count = 50"])
    plan = make_plan(resolve_suite(suite), Store(tmp_path / "store"))
    pgd, ir = plan_record(plan)["groups"]
    steps, targets = 2, 1
    assert (pgd["forwards"], pgd["backwards"], pgd["evaluations"]) == (50 * steps, 50 * steps, 50 * steps * targets)
    assert ir["forwards"] == 50 * (3 * steps + 1)
    assert f"for 50 images: {ir['forwards'] + pgd['forwards'] + 2 * 50 * steps:.0f} forwards" in plan_text(plan)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (42, "42 s"), (150, "2.5 min"), (3000, "50 min"), (9000, "2.5 h")],
)
def test_durations_are_said_with_the_digits_that_count(seconds: float, text: str) -> None:
    assert duration(seconds) == text
