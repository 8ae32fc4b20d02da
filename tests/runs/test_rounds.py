"""Rounds: after each, all that the suite asks for is known of further images; a stopped run keeps the complete ones."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_result, run, run_suite
from bench_core.cli import guard
from bench_core.errors import Incomplete, Interrupted, UsageError
from bench_core.executors import Outcome, Task
from bench_core.executors.inline import Inline
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.runs import write

COUNT, BATCH = 12, 5
IN_ROUNDS = (5, 10, 12)


@pytest.fixture
def suite(write_suite: Callable[..., str]) -> str:
    return write_suite()


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_suite_of_these_tests_has_three_rounds(suite: str) -> None:
    text = Path(suite).read_text()
    assert f"count = {COUNT}" in text
    assert f"micro_batch = {BATCH}" in text


def test_the_result_after_a_round_is_that_of_a_run_of_its_images(
    suite: str, registry: Registry, tmp_path: Path
) -> None:
    seen: list[Result] = []
    whole = run(suite, out=tmp_path / "a", registry=registry, executor="inline", on_round=seen.append)
    assert [len(result.selected) for result in seen] == list(IN_ROUNDS)
    assert seen[-1] is whole
    assert [result.complete for result in seen] == [False, False, True]
    for result in seen[:-1]:
        images = len(result.selected)
        limited = run(suite, out=tmp_path / str(images), registry=registry, executor="inline", limit=images)
        assert [score.record() for score in result.scores] == [score.record() for score in limited.scores]
        notes = [note for table in result.tables for note in table.notes]
        assert any(f"the first {images} of {COUNT} images" in note for note in notes)


class Stopping(Inline):
    """Stops after some tasks, as Ctrl-C or a full disk does."""

    def __init__(self, registry: Registry, after: int, error: type[BaseException]) -> None:
        super().__init__(registry)
        self.left, self.error = after, error

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for outcome in super().run(tasks):
            yield outcome
            self.left -= 1
            if self.left == 0:
                raise self.error("on purpose")


def stop_after(
    tasks: int, suite: str, out: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> BaseException:
    with monkeypatch.context() as patched:
        executor = Stopping(registry, tasks, error)
        patched.setattr(run_suite, "make_executor", lambda *_: (executor, False))
        with pytest.raises((Interrupted, Incomplete)) as caught:
            run(suite, out=out, registry=registry)
        return caught.value


def tasks_until_round(suite: str, registry: Registry, out: Path, images: int) -> int:
    """Return the number of tasks that are computed before the rounds of these images are complete."""
    tasks = 0
    needed = 0

    class Counting(Inline):
        def run(self, given: Sequence[Task]) -> Iterator[Outcome]:
            nonlocal tasks
            for outcome in super().run(given):
                tasks += 1
                yield outcome

    def note(result: Result) -> None:
        nonlocal needed
        if len(result.selected) == images:
            needed = tasks

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_suite, "make_executor", lambda *_: (Counting(registry), False))
        run(suite, out=out, registry=registry, on_round=note)
    return needed


@pytest.mark.parametrize("error", [KeyboardInterrupt, Incomplete])
def test_a_stopped_run_leaves_the_folder_of_its_complete_rounds_and_goes_on_to_the_same_bits(
    error: type[BaseException], suite: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(suite, out=tmp_path / "whole", registry=registry, executor="inline")
    stops = [tasks_until_round(suite, registry, tmp_path / f"count {n}", n) for n in IN_ROUNDS[:-1]]
    out = tmp_path / "stopped"
    done = 0
    for images, tasks in zip(IN_ROUNDS, stops, strict=False):
        stopped = stop_after(tasks + 1 - done, suite, out, registry, monkeypatch, error)
        done = tasks + 1
        folder = out / "toy" / "toy"
        assert f"the result of the first {images} of {COUNT} images" in "".join(stopped.__notes__)
        partial = load_result(folder, registry)
        assert len(partial.selected) == images
        assert not partial.complete
        record = json.loads((folder / "run.json").read_text())
        assert (len(record["images"]["ids"]), record["images"]["planned"]) == (images, COUNT)
    finished = run(suite, out=out, registry=registry, executor="inline")
    assert finished.complete
    assert texts(finished.folder) == texts(whole.folder)


def test_a_run_that_is_stopped_early_leaves_a_folder_with_more_images_alone(
    suite: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(suite, out=tmp_path, registry=registry, executor="inline")
    before = texts(whole.folder)
    kept = [path for path in (tmp_path / "store").rglob("*.safetensors") if path.stat().st_size]
    for path in kept[: len(kept) // 2]:
        path.unlink()
    stopped = stop_after(1, suite, tmp_path, registry, monkeypatch, KeyboardInterrupt)
    assert f"{whole.folder} still has the earlier result of" in stopped.__notes__[0]
    assert texts(whole.folder) == before


def test_a_stopped_run_replaces_the_result_of_another_suite_with_more_images(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    def stop(_: Result) -> None:
        raise KeyboardInterrupt

    earlier = run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    assert len(load_result(earlier.folder, registry).selected) == COUNT
    changed = write_suite(("steps = 4", "steps = 3"))
    with pytest.raises((KeyboardInterrupt, Interrupted)) as stopped:
        run(changed, out=tmp_path, registry=registry, executor="inline", on_round=stop)
    assert "the result of the first 5 of 12 images" in "".join(stopped.value.__notes__)
    kept = load_result(earlier.folder, registry)
    assert len(kept.selected) == 5
    assert {budget.steps for budget in kept.suite.budgets.values()} == {3}


@pytest.mark.parametrize("error", [KeyboardInterrupt, Incomplete])
def test_a_run_that_is_stopped_before_its_first_round_says_what_its_folder_has(
    error: type[BaseException], suite: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = stop_after(1, suite, tmp_path, registry, monkeypatch, error)  # while clean images are classified
    folder = tmp_path / "toy" / "toy"
    nothing = f"finished results are stored, but no image is complete, so {folder} has no result yet"
    assert stopped.__notes__ == [nothing]
    run(suite, out=tmp_path, registry=registry, executor="inline", limit=10)
    before = texts(folder)
    shutil.rmtree(tmp_path / "store")
    stopped = stop_after(1, suite, tmp_path, registry, monkeypatch, error)
    assert stopped.__notes__ == [f"no image is complete, so {folder} still has the earlier result of 10 images"]
    assert texts(folder) == before


@pytest.mark.parametrize(("first", "then"), [(5, 10), (10, 5)])
def test_a_folder_that_was_half_replaced_is_one_line(
    first: int, then: int, suite: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(suite, out=tmp_path, registry=registry, executor="inline", limit=first).folder

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(write, "write_tables", interrupted)  # after the rows, before the record
        with pytest.raises(KeyboardInterrupt):
            run(suite, out=tmp_path, registry=registry, executor="inline", limit=then)
    with pytest.raises(UsageError, match=f"its rows are of {then} images, but its record of {first}: a run was"):
        load_result(folder, registry)
    again = run(suite, out=tmp_path, registry=registry, executor="inline", limit=then)
    assert len(load_result(folder, registry).selected) == len(again.selected) == then


def test_the_command_line_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        error = Interrupted()
        error.add_note("out/toy has the result of the first 5 of 12 images")
        raise error

    assert guard(stopped, False) == 130
    line = "bench: interrupted; out/toy has the result of the first 5 of 12 images, run the same command to continue\n"
    assert capsys.readouterr().err == line


def test_rows_after_rounds_are_rows(suite: str, registry: Registry, tmp_path: Path) -> None:
    seen: list[Result] = []
    whole = run(suite, out=tmp_path, registry=registry, executor="inline", on_round=seen.append)
    for result in seen:
        for row in result.rows:
            if row.metric == "attack":
                ours, final = row.arrays, whole.arrays("attack", **dict(row.labels))
                assert all(np.array_equal(ours[name], final[name][: len(result.selected)]) for name in ours)


def test_a_dataset_with_fewer_images_than_asked_for_is_said(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    small = write_suite(('kind = "toy_images"', 'kind = "toy_images"\ncount = 8'))
    result = run(small, out=tmp_path, registry=registry, executor="inline")
    assert result.exhausted
    assert result.complete
    images = len(result.selected)
    why = f'by the rule "{result.suite.images.rule}" no more of the dataset\'s 8 can be attacked'
    assert result.notes[0] == f"{images} images in place of {COUNT}: {why}"
    few = run(small, out=tmp_path, registry=registry, executor="inline", limit=3)
    assert len(few.selected) == 3
    assert not few.exhausted
    assert not any("in place of" in note for note in few.notes)
