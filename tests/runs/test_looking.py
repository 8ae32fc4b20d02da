"""A run that does not classify the whole dataset shows a network no image that its selection does not need."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.executors import Outcome, Task
from bench_core.executors.inline import Inline
from bench_core.planning import dataset_share
from bench_core.planning.plan import make_plan
from bench_core.planning.selection import cheapest_first, look
from bench_core.registry import Registry
from bench_core.reports.plan import plan_text
from bench_core.run_suite import resolve_suite
from bench_core.store import Store

IMAGES, LIMIT = 20, 2
BY_ALL = ('rule = "all"\n', 'rule = "correct_by_all"\nmodels = ["B", "A"]\n')


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a dataset of any size be one that is not classified as a whole without need."""
    monkeypatch.setattr(dataset_share, "SMALL", 0)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[int]]]:
    """Record each task: its kind, its models, and the positions of its images."""
    seen: list[tuple[str, str, list[int]]] = []
    original = Inline.run

    def recording(self: Inline, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for outcome, task in zip(original(self, tasks), list(tasks), strict=True):
            seen.append((task.spec["kind"], "+".join(task.spec["models"]), list(task.spec["batch"]["indices"])))
            yield outcome

    monkeypatch.setattr(Inline, "run", recording)
    return seen


def test_a_network_sees_the_images_that_the_cheaper_ones_classify_and_none_after_the_last_selected(
    registry: Registry, write_suite
) -> None:
    """Against a walk through the dataset, image by image."""
    resolved = resolve_suite(load_suite(write_suite(BY_ALL)), registry)
    assert resolved.images is not None
    labels, draw = resolved.images.labels, np.random.default_rng(0)
    for count in (1, 3, 7, 40):
        limited = replace(resolved, limit=count, costs={"A": 2.0, "B": 1.0})
        right = {name: draw.random(IMAGES) < draw.random() for name in "AB"}
        seen: dict[str, list[int]] = defaultdict(list)

        def classify(
            model: str, indices: Sequence[int], right: dict = right, seen: dict[str, list[int]] = seen
        ) -> dict[int, int]:
            seen[model] += indices
            return {index: labels[index] if right[model][index] else labels[index] + 1 for index in indices}

        found, needed = list[int](), {"A": list[int](), "B": list[int]()}
        for index in range(IMAGES):
            if len(found) == limited.count:
                break
            needed["B"].append(index)
            if right["B"][index]:
                needed["A"].append(index)
                found += [index] * bool(right["A"][index])
        assert look(limited, classify) == found
        assert seen["B"] == needed["B"]
        assert seen["A"] == needed["A"]


def test_networks_of_unknown_cost_come_last_in_the_order_of_the_suite(registry: Registry, write_suite) -> None:
    resolved = resolve_suite(load_suite(write_suite(BY_ALL)), registry)
    for costs, expected in (({}, "BA"), ({"A": 1.0, "B": None}, "AB"), ({"A": 2.0, "B": 1.0}, "BA")):
        assert "".join(cheapest_first(replace(resolved, costs=costs))) == expected


@pytest.mark.usefixtures("large")
def test_a_limit_shows_no_image_to_a_network_that_the_selection_does_not_need(
    registry: Registry, write_suite, tmp_path: Path, shown: list[tuple[str, str, list[int]]], monkeypatch
) -> None:
    third = (
        '"B" = { recipe = "toy", seed = 2 }',
        '"B" = { recipe = "toy", seed = 2 }\n"C" = { recipe = "toy", seed = 3 }',
    )
    suite = write_suite(BY_ALL, third, ('targets = ["A", "B"]', 'targets = ["A", "C"]'))
    small = run(suite, out=tmp_path / "small", registry=registry, executor="inline", limit=LIMIT)
    selected = list(small.selected)
    assert 0 < len(selected) <= LIMIT
    looked = [(models, images) for kind, models, images in shown if kind == "clean"]
    first, second, target = ({i for models, images in looked if name in models for i in images} for name in "BAC")
    assert first == set(range(selected[-1] + 1)), "the first network, up to the last selected image"
    assert second < first, "only what the first classifies correctly"
    assert target == set(selected), "a target that chooses no images: those that are attacked"
    clean = {score.score.n for score in small.scores if score.metric == "clean.accuracy" and not score.void}
    assert clean == {len(selected)}
    assert any("clean: over the attacked images, not all 20" in note for note in small.notes)
    monkeypatch.setattr(dataset_share, "SMALL", 1000)
    assert run(suite, out=tmp_path / "all", registry=registry, executor="inline", limit=LIMIT).selected == tuple(
        selected
    )


@pytest.mark.usefixtures("large")
def test_the_stored_looks_are_found_again(
    registry: Registry, write_suite, tmp_path: Path, shown: list[tuple[str, str, list[int]]]
) -> None:
    suite = write_suite(BY_ALL)
    before = make_plan(resolve_suite(load_suite(suite), registry, limit=LIMIT), Store(tmp_path / "store"))
    assert before.selection is None
    result = run(suite, out=tmp_path, registry=registry, executor="inline", limit=LIMIT)
    after = make_plan(resolve_suite(load_suite(suite), registry, limit=LIMIT), Store(tmp_path / "store"))
    assert after.selection is not None
    assert after.selection.indices == tuple(result.selected)
    assert after.cells_stored == after.cells
    shown.clear()
    run(suite, out=tmp_path, registry=registry, executor="inline", limit=LIMIT)
    assert not shown


@pytest.mark.usefixtures("large")
def test_with_the_rule_all_nothing_is_looked_at_first(
    registry: Registry, write_suite, tmp_path: Path, shown: list[tuple[str, str, list[int]]]
) -> None:
    result = run(write_suite(), out=tmp_path, registry=registry, executor="inline", limit=LIMIT)
    assert list(result.selected) == list(range(LIMIT))
    kinds = [kind for kind, _, _ in shown]
    assert kinds[0] == "attack"
    assert {index for _, _, images in shown for index in images} == set(range(LIMIT))


@pytest.mark.usefixtures("large")
def test_an_expected_accuracy_is_not_compared_in_a_trial(
    registry: Registry, write_suite, tmp_path: Path, shown: list[tuple[str, str, list[int]]]
) -> None:
    expected = ('recipe = "toy", seed = 1 }', 'recipe = "toy", seed = 1, expected_accuracy = 1 }')
    run(write_suite(BY_ALL, expected), out=tmp_path, registry=registry, executor="inline", limit=1)
    assert len({index for kind, _, images in shown for index in images if kind == "clean"}) < IMAGES


@pytest.mark.parametrize(
    ("changes", "small", "limit", "line"),
    [
        ((), 0, None, "clean images: none of 20 classified before the attacks, the rest after them"),
        ((), 0, 2, "clean images: none of 20 looked at before the attacks, then only those attacked"),
        ((BY_ALL,), 0, 2, "clean images: at least 2 of 20 looked at before the attacks, then only those attacked"),
        ((BY_ALL,), 1000, 2, "clean images: all 20 classified before the attacks"),
    ],
)
def test_the_plan_says_how_many_images_are_classified_first_and_in_all(
    changes, small: int, limit: int | None, line: str, registry: Registry, write_suite, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(dataset_share, "SMALL", small)
    resolved = resolve_suite(load_suite(write_suite(*changes)), registry, limit=limit)
    assert line in plan_text(make_plan(resolved, Store(tmp_path / "store")))
