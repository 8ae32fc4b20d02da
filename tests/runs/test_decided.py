"""A run that stops when its comparisons are decided: a function of its rows, whatever was computed before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_result, load_suite, run, run_suite
from bench_core.errors import Interrupted
from bench_core.executors import Outcome, Task
from bench_core.executors.inline import Inline
from bench_core.registry import Origin, Registry, discover
from bench_core.result import Result
from bench_core.tables.formats import render

from ..conftest import SUITE
from ..toys import ToyPlugin

COUNT, BATCH, FEWEST = 40, 5, 7
CHANGES = {
    'kind = "toy_images"': f'kind = "toy_images"\ncount = {COUNT}',
    "count = 12": f"count = {COUNT}",
    '"PGD" = { recipe = "pgd" }': '"PGD" = { recipe = "pgd" }\n"noise" = { recipe = "noise" }',
    "seed = 1": "seed = 4",
    "seed = 2": "seed = 30",
    "eps = 0.1": "eps = 0.3",
    "step_size = 0.03": "step_size = 0.5",
    "steps = 4": "steps = 2",
    'sources = ["A", ["A", "B"]]': 'sources = ["A"]',
    'targets = ["A", "B"]': 'targets = ["B"]',
    "mean = true\n": 'mean = true\nbaseline = { attack = "noise" }\n',
}


@pytest.fixture(scope="module")
def toy_registry() -> Registry:
    found = discover()
    found.register(ToyPlugin(), Origin("toys", "tests", "1", "toys-source"))
    return found


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    text = SUITE + f"[decide]\nalpha = 0.2\nfewest = {FEWEST}\n"
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("suite") / "toy.toml"
    path.write_text(text)
    return str(path)


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(suite: str, toy_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of all images."""
    return run(suite, out=tmp_path_factory.mktemp("whole"), registry=toy_registry, executor="inline")


@pytest.fixture(scope="module")
def seen() -> list[Result]:
    return []


@pytest.fixture(scope="module")
def stopped(suite: str, toy_registry: Registry, tmp_path_factory: pytest.TempPathFactory, seen: list[Result]) -> Result:
    """The result of a run that stopped when it was decided."""
    out = tmp_path_factory.mktemp("stopped")
    return run(suite, out=out, registry=toy_registry, executor="inline", until="decided", on_round=seen.append)


def test_it_stops_after_the_round_in_which_the_last_comparison_ended(stopped: Result, seen: list[Result]) -> None:
    (decision,) = stopped.decisions.each
    assert decision.labels == ("A", "PGD")
    assert decision.state == "decided"
    images = len(stopped.selected)
    assert FEWEST <= images - BATCH < decision.images <= images < COUNT
    assert [len(result.selected) for result in seen] == list(range(BATCH, images + 1, BATCH))
    assert seen[-1] is stopped
    assert all(result.decisions.of("undecided") for result in seen[:-1])
    assert stopped.decided_early
    assert stopped.complete


def test_tables_record_and_folder_state_it(stopped: Result) -> None:
    (decision,) = stopped.decisions.each
    text = render(stopped.tables[0])
    assert f"A PGD at {decision.images} images" in text
    assert f"the first {len(stopped.selected)} of {COUNT} images (no comparison was left undecided)" in text
    record = json.loads((stopped.folder / "run.json").read_text())
    assert record["until"] == "decided"
    assert record["decisions"] == stopped.decisions.record()
    assert "--until decided" in record["reproduce"]
    loaded = load_result(stopped.folder)
    assert loaded.decisions == stopped.decisions
    assert loaded.complete
    assert render(loaded.tables[0]) == text


def test_without_until_all_images_are_attacked_and_the_decision_is_the_same(stopped: Result, whole: Result) -> None:
    assert len(whole.selected) == COUNT
    assert not whole.decided_early
    assert [(one.state, one.images) for one in whole.decisions.each] == [("decided", stopped.decisions.ended_at)]
    for row in stopped.rows:
        longer = next(other for other in whole.rows if (other.metric, other.labels) == (row.metric, row.labels))
        assert all(np.array_equal(longer.arrays[name][: len(array)], array) for name, array in row.arrays.items())


def test_going_on_gives_the_same_folder_as_one_go_and_so_does_stopping_again(
    suite: str, toy_registry: Registry, whole: Result, stopped: Result, tmp_path: Path
) -> None:
    for until, expected in (("decided", stopped), (None, whole), ("decided", stopped)):
        result = run(suite, out=tmp_path, registry=toy_registry, executor="inline", until=until)
        assert texts(result.folder) == texts(expected.folder)


def test_a_run_that_was_interrupted_stops_where_one_go_does(
    suite: str, toy_registry: Registry, stopped: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(Inline):
        """Stops after three jobs with attacks, of which two are a round."""

        left = 3

        def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
            for outcome in super().run(tasks):
                yield outcome
                self.left -= tasks[0].spec["kind"] == "attack"
                if not self.left:
                    raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run_suite, "make_executor", lambda *_: (Interrupting(toy_registry), False))
        with pytest.raises(Interrupted):
            run(suite, out=tmp_path, registry=toy_registry, until="decided")
    partial = load_result(tmp_path / "toy" / "toy")
    assert len(partial.selected) == BATCH
    assert not partial.complete
    resumed = run(suite, out=tmp_path, registry=toy_registry, executor="inline", until="decided")
    assert texts(resumed.folder) == texts(stopped.folder)


def test_no_job_of_a_later_round_is_computed(
    suite: str, toy_registry: Registry, stopped: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = 0

    class Counting(Inline):
        def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
            nonlocal computed
            for outcome in super().run(tasks):
                computed += tasks[0].spec["kind"] == "attack"
                yield outcome

    monkeypatch.setattr(run_suite, "make_executor", lambda *_: (Counting(toy_registry), False))
    run(suite, out=tmp_path, registry=toy_registry, until="decided")
    assert computed == 2 * len(stopped.selected) // BATCH


def test_the_number_of_images_is_the_largest_one(suite: str, toy_registry: Registry, tmp_path: Path) -> None:
    seen: list[Result] = []
    result = run(
        suite, out=tmp_path, registry=toy_registry, executor="inline", until="decided", images=10, on_round=seen.append
    )
    assert [len(each.selected) for each in seen] == [5, 10], "each round once"
    assert len(result.selected) == result.planned == 10
    assert result.decisions.of("undecided")
    assert result.complete
    assert not result.decided_early


@pytest.mark.slow
def test_worker_processes_stop_at_the_same_images(installed: Registry, tmp_path: Path) -> None:
    changed = [
        'sources=["ResNet-S"]', 'targets=["VGG"]', 'images.models=["VGG", "ResNet-S"]', "images.count=40",
        "budgets.linf.steps=8", 'budgets.linf.step_size="4/255"', 'budgets.l2.sources=["VGG"]',
        "compute.micro_batch=10", "decide.fewest=10", "decide.alpha=0.2",
        'attacks.PGD={recipe="noise"}', 'attacks.IR={recipe="pgd"}',
    ]  # fmt: skip
    suite = load_suite("transfer_table1", overrides=changed)
    one, two = (
        run(suite, out=tmp_path / name, registry=installed, executor=name, workers=workers, until="decided")
        for name, workers in (("inline", None), ("local", 2))
    )
    assert one.decided_early
    assert texts(one.folder) == texts(two.folder)
