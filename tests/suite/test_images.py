"""`--images`: more images than the suite's own number, or fewer, of the same list."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import UsageError, load_suite, run
from bench_core.executors import Task
from bench_core.executors.inline import Inline
from bench_core.registry import Registry
from bench_core.suite.load import with_images

BATCH = 5


@pytest.mark.parametrize(("count", "choices"), [(3, "try 5,"), (13, "try 10 or 15,")])
def test_a_count_that_is_no_multiple_of_the_micro_batch_is_refused(
    count: int, choices: str, write_suite: Callable[..., str]
) -> None:
    with pytest.raises(UsageError, match=choices):
        with_images(load_suite(write_suite()), count)


def test_a_later_count_replaces_the_earlier_one(write_suite: Callable[..., str]) -> None:
    suite = with_images(with_images(load_suite(write_suite()), 5), 10)
    assert suite.images.count == 10
    assert suite.overrides == ["images.count=10"], "the record repeats the run with it"


def test_more_images_keep_the_first_and_compute_no_cell_again(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = []
    compute = Inline.run

    def recording(self, given):
        for task in compute(self, given):
            tasks.append(task.address)
            yield task

    monkeypatch.setattr(Inline, "run", recording)
    suite = write_suite(("count = 12", "count = 5"))
    counts = (5, 10, 15)
    results = [run(suite, out=tmp_path / "out", images=n, registry=registry, executor="inline") for n in counts]
    assert len(tasks) == len(set(tasks))
    assert [len(result.selected) for result in results] == [*counts]
    at_once = run(suite, out=tmp_path / "at once", images=15, registry=registry, executor="inline")
    assert results[-1].selected[:10] == results[1].selected
    rows, expected = (Path(result.folder / "rows.safetensors").read_bytes() for result in (results[-1], at_once))
    assert rows == expected
