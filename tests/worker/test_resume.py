"""A long job that is interrupted is resumed from its last step, and gives the rows of one that was not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import run
from bench_core.errors import Interrupted
from bench_core.planning.jobs import AttackJob, PlannedJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.store import Store
from bench_core.suite.load import load_suite
from bench_core.worker import resume
from bench_core.worker.job import Worker
from bench_core.worker.resume import Checkpoint
from tests.toys import ToyPlugin

STEPS = 4
ATTACKS = {
    "pgd": '"PGD" = { recipe = "pgd" }',
    "memory": '"X" = { parts = ["vmi", "ti"], kernel = 3, neighbours = 2 }',
    "goal": '"X" = { recipe = "until_success" }',
    "donors": '"X" = { recipe = "admix", pool = 5, mixed = 2 }',
}


class Stopped(BaseException):
    pass


@pytest.fixture(autouse=True)
def every_step_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    monkeypatch.setattr(resume, "SHARE", 1e9)


@pytest.fixture
def job(registry: Registry, write_suite: Callable[..., str]) -> Callable[..., PlannedJob]:
    """Return a function that plans the attack on the ensemble of A and B, with the metrics of both as targets."""

    def planned(attack: str = "memory", *replacements: tuple[str, str]) -> PlannedJob:
        file = write_suite(
            ('"PGD" = { recipe = "pgd" }', ATTACKS[attack]), ('sources = ["A", ["A", "B"]]', 'sources = [["A", "B"]]'),
            *replacements,
        )  # fmt: skip
        resolved = resolve_suite(load_suite(file), registry)
        jobs = selected_jobs(resolved, first_images(resolved))
        return next(job for job in jobs if isinstance(job.job, AttackJob))

    return planned


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[int]]:
    """Return a function that makes a job stop after a step; it returns the list of the steps that are computed."""
    step = Checkpoint.step

    def at(last: int | None) -> list[int]:
        computed: list[int] = []

        def stopping(self: Checkpoint, index: int, images: object) -> None:
            computed.append(index)
            step(self, index, images)  # type: ignore[arg-type]
            if index == last:
                raise Stopped

        monkeypatch.setattr(Checkpoint, "step", stopping)
        return computed

    return at


def compute(registry: Registry, planned: PlannedJob, file: Path | None, cells: int | None = None) -> bytes:
    wanted = sorted({cell.key for cell in planned.cells})[:cells]
    return Worker(registry).compute(planned.job.to_json(), wanted, state_file=str(file) if file else None)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("last", [1, 3, STEPS])
def test_a_resumed_job_has_the_rows_of_one_in_one_go(
    attack: str, last: int, job, stop_after, registry: Registry, tmp_path: Path
) -> None:
    planned, file = job(attack), tmp_path / "state"
    whole = compute(registry, planned, None)
    stop_after(last)
    with pytest.raises(Stopped):
        compute(registry, planned, file)
    steps = stop_after(None)
    assert compute(registry, planned, file) == whole
    assert steps == list(range(last + 1, STEPS + 1))


def test_a_state_of_other_code_or_other_cells_or_a_damaged_one_is_ignored(
    job, stop_after, registry: Registry, tmp_path: Path
) -> None:
    planned, file = job(), tmp_path / "state"
    whole = compute(registry, planned, None)
    stop_after(2)
    with pytest.raises(Stopped):
        compute(registry, planned, file)
    content, every = file.read_bytes(), list(range(1, STEPS + 1))
    other = job("memory", ("eps = 0.1", "eps = 0.09"))
    for damaged in (content[:-1], content[:20], b"", content[:-1] + b"?"):
        file.write_bytes(damaged)
        steps = stop_after(None)
        assert compute(registry, planned, file) == whole
        assert steps == every
    for changed, cells in ((other, None), (planned, 1)):  # code is part of the address, like everything else
        file.write_bytes(content)
        steps = stop_after(None)
        assert compute(registry, changed, file, cells) == compute(registry, changed, None, cells)
        assert steps == every * 2
    file.write_bytes(content)
    steps = stop_after(None)
    compute(registry, planned, file)
    assert steps == [3, 4]


def test_a_short_job_writes_nothing(job, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SECONDS", 1e9)
    compute(registry, job(), tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_network_that_draws_random_numbers_is_not_resumed(
    job, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench_core.worker.job.is_randomised", lambda *_: True)
    compute(registry, job(), tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_run_goes_on_within_a_job_and_leaves_no_state(
    write_suite: Callable[..., str], stop_after, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = write_suite(('sources = ["A", ["A", "B"]]', 'sources = ["A"]'))
    whole = run(suite, out=tmp_path / "whole", registry=registry, executor="inline")
    step = Checkpoint.step

    def interrupted(self: Checkpoint, index: int, images: object) -> None:
        step(self, index, images)  # type: ignore[arg-type]
        if index == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "step", interrupted)
        with pytest.raises(Interrupted):
            run(suite, out=tmp_path / "stopped", registry=registry, executor="inline")
    (state,) = (tmp_path / "stopped" / "store").rglob("*.state")
    assert Store(tmp_path / "stopped" / "store").state_file(state.parent.name) == state
    steps = stop_after(None)
    resumed = run(suite, out=tmp_path / "stopped", registry=registry, executor="inline")
    assert steps == [4, *range(1, STEPS + 1), *range(1, STEPS + 1)]
    assert not [*(tmp_path / "stopped").rglob("*.state")]
    names = ("rows.safetensors", "scores.jsonl")
    assert [(resumed.folder / name).read_bytes() for name in names] == [
        (whole.folder / name).read_bytes() for name in names
    ]


def test_a_job_that_fails_starts_from_its_beginning_the_next_time(
    write_suite: Callable[..., str], stop_after, registry: Registry, toys: ToyPlugin, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    step = Checkpoint.step

    def failing(self: Checkpoint, index: int, images: object) -> None:
        step(self, index, images)  # type: ignore[arg-type]
        if index == 2:
            raise RuntimeError("on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "step", failing)
        assert not run(write_suite(), out=tmp_path, registry=registry, executor="inline").complete
    assert not [*tmp_path.rglob("*.state")]
