"""A run attacks as soon as enough images are classified; the images that it attacks and its rows stay the same."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run, run_suite
from bench_core.errors import Incomplete, UsageError
from bench_core.executors import Outcome, Task
from bench_core.executors.inline import Inline
from bench_core.planning import planner
from bench_core.planning.plan import make_plan
from bench_core.planning.selection import Selection, select, suffices
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.runs import clean_images
from bench_core.store import Store

IMAGES, BLOCK, COUNT = 20, 2, 4
CORRECT = ('rule = "all"\n', 'rule = "correct_by_all"\nmodels = ["A"]\n')
BY_TARGET = ('rule = "all"', 'rule = "correct_by_target"')
SMALL = (("count = 12", f"count = {COUNT}"), ("micro_batch = 5", f"micro_batch = {BLOCK}"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "CLEAN_BATCH", BLOCK)
    monkeypatch.setattr(clean_images, "FIRST_BLOCKS", 1)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the kinds of the tasks and the positions of their images, in the order in which they are computed."""
    seen: list[str] = []
    original = Inline.run

    def recording(self: Inline, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for outcome, task in zip(original(self, tasks), list(tasks), strict=True):
            seen.append(task.spec["kind"])
            yield outcome

    monkeypatch.setattr(Inline, "run", recording)
    return seen


class EverythingFirst(clean_images.CleanImages):
    """Leaves nothing until after the attacks."""

    def select(self) -> Selection:
        self.finish()
        return super().select()


def files(result: Result) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in result.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("rule", [CORRECT, BY_TARGET, ("seed = 1", "seed = 3")])
def test_the_selection_and_all_files_are_those_of_a_run_that_classifies_everything_first(
    rule: tuple[str, str], registry: Registry, write_suite, tmp_path: Path, monkeypatch, kinds: list[str]
) -> None:
    suite = write_suite(rule, *SMALL)
    blocks = run(suite, out=tmp_path / "blocks", registry=registry, executor="inline")
    order = list(kinds)
    assert order.count("clean") == IMAGES // BLOCK, "in the end every image is classified"
    before = order.index("attack")
    assert 0 < before < IMAGES // BLOCK, "attacks begin before that"
    assert "attack" not in order[before + order[before:].index("clean") :], "the rest is left until they end"
    kinds.clear()
    monkeypatch.setattr(run_suite, "CleanImages", EverythingFirst)
    at_once = run(suite, out=tmp_path / "at once", registry=registry, executor="inline")
    assert "clean" not in kinds[kinds.index("attack") :]
    assert blocks.selected == at_once.selected
    assert files(blocks) == files(at_once)


def test_a_prefix_that_suffices_selects_what_all_predictions_do(registry: Registry, write_suite) -> None:
    resolved = resolve_suite(load_suite(write_suite(CORRECT, *SMALL)), registry)
    assert resolved.images is not None
    labels, draw = resolved.images.labels, np.random.default_rng(0)
    for _ in range(50):
        right = draw.random(IMAGES) < draw.random()
        full = {name: [label if ok else label + 1 for label, ok in zip(labels, right, strict=True)] for name in "AB"}
        if not right.any():
            continue
        expected = [place for place in range(IMAGES) if right[place]][:COUNT]  # by the definition of the rule
        for known in range(IMAGES + 1):
            first = {name: classes[:known] for name, classes in full.items()}
            assert suffices(resolved, first) == (known == IMAGES or np.count_nonzero(right[:known]) >= COUNT)
            if suffices(resolved, first):
                assert [*select(resolved, first).indices] == expected


def test_no_more_blocks_are_classified_than_are_likely_to_be_needed(
    registry: Registry, write_suite, tmp_path: Path, kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This rule selects the first images, so their blocks suffice. The fewest are a constant."""
    for fewest, expected in ((1, math.ceil(COUNT / BLOCK)), (5, 5), (1000, IMAGES // BLOCK)):
        monkeypatch.setattr(clean_images, "FIRST_BLOCKS", fewest)
        kinds.clear()
        run(write_suite(BY_TARGET, *SMALL), out=tmp_path / str(fewest), registry=registry, executor="inline")
        assert kinds.index("attack") == expected


def test_an_expected_accuracy_is_checked_over_the_whole_dataset_before_any_attack(
    registry: Registry, write_suite, tmp_path: Path, kinds: list[str]
) -> None:
    expected = ('recipe = "toy", seed = 1 }', 'recipe = "toy", seed = 1, expected_accuracy = 1 }')
    with pytest.raises(UsageError, match=f"of {IMAGES} clean images"):
        run(write_suite(expected, *SMALL), out=tmp_path, registry=registry, executor="inline")
    assert set(kinds) == {"clean"}


def test_rounds_have_the_clean_scores_of_the_images_that_are_classified(
    registry: Registry, write_suite, tmp_path: Path
) -> None:
    seen: list[Result] = []
    run(write_suite(BY_TARGET, *SMALL), out=tmp_path, registry=registry, executor="inline", on_round=seen.append)
    counted = [
        {score.score.n for score in result.scores if score.metric == "clean.accuracy" and score.labels["target"] == "A"}
        for result in seen
    ]
    assert counted == [{COUNT}, {IMAGES}]
    assert not any(score.void for result in seen for score in result.scores)


def test_a_run_stopped_during_the_attacks_is_planned_and_continued(
    registry: Registry, write_suite, tmp_path: Path, monkeypatch, kinds: list[str]
) -> None:
    suite = write_suite(CORRECT, *SMALL)
    whole = run(suite, out=tmp_path / "whole", registry=registry, executor="inline")
    finish: Callable[[clean_images.CleanImages], None] = clean_images.CleanImages.finish

    def stopped(_self: clean_images.CleanImages) -> None:
        raise Incomplete("on purpose")

    monkeypatch.setattr(clean_images.CleanImages, "finish", stopped)
    with pytest.raises(Incomplete):
        run(suite, out=tmp_path / "stopped", registry=registry, executor="inline")
    plan = make_plan(resolve_suite(load_suite(suite), registry), Store(tmp_path / "stopped" / "store"))
    assert plan.selection is not None
    assert plan.selection.indices == tuple(whole.selected)
    monkeypatch.setattr(clean_images.CleanImages, "finish", finish)
    kinds.clear()
    resumed = run(suite, out=tmp_path / "stopped", registry=registry, executor="inline")
    assert set(kinds) == {"clean"}, "the attacks are stored"
    assert files(resumed) == files(whole)
