"""Queries: counted for each image by the host, refused after the last, and nothing but their answers is given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core import load_suite
from bench_core.errors import ContractError, UsageError
from bench_core.queries import QueriesSpent, ask
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite, run
from bench_core.testing.inputs import examples, network
from bench_core.types import Access, Budget, Examples
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.instrument import PassCounter
from bench_core.worker.queried import QueriedNetwork, QueriedRun
from bench_core.worker.streams import ImageStreams
from tests.commands.test_cli import GOOD

MODEL = network()
GIVEN = examples(MODEL, (1, 12, 12))
LIMIT = 7


def limits(access: Access = "scores", queries: int = LIMIT) -> Budget:
    return Budget("linf", 0.1, 0.1, queries, access=access, queries=queries)


def handle(count: int = 4, access: Access = "scores") -> QueriedNetwork:
    return QueriedNetwork(MODEL, GIVEN.take(slice(0, count)), limits(access))


def test_answers_are_the_networks_and_each_image_is_a_query() -> None:
    asked = handle()
    assert torch.equal(asked(GIVEN.images), MODEL(GIVEN.images))
    rows = torch.tensor([2, 0, 2])
    assert torch.equal(ask(asked, GIVEN.images[rows], rows), MODEL(GIVEN.images[rows]))
    assert asked.spent.tolist() == [2, 1, 3, 1]


def test_one_query_over_is_refused_and_those_before_count() -> None:
    asked = handle(1)
    asked(GIVEN.images[:1].repeat(LIMIT - 2, 1, 1, 1))
    with pytest.raises(QueriesSpent):
        asked(GIVEN.images[:1].repeat(3, 1, 1, 1))
    assert asked.spent.tolist() == [LIMIT]
    with pytest.raises(QueriesSpent):
        asked(GIVEN.images[:1])
    assert asked.spent.tolist() == [LIMIT]


def test_another_images_queries_are_not_spent_with_it() -> None:
    asked = handle()
    rows = torch.zeros(LIMIT, dtype=torch.int64)
    ask(asked, GIVEN.images[rows], rows)
    with pytest.raises(QueriesSpent):
        asked(GIVEN.images)
    assert asked.spent.tolist() == [LIMIT, 1, 1, 1]


def test_labels_show_the_predicted_class_only() -> None:
    answers = handle(access="labels")(GIVEN.images)
    assert answers.sum(1).tolist() == [1.0] * 4
    assert torch.equal(answers.argmax(1), MODEL(GIVEN.images).argmax(1))
    assert set(answers.unique().tolist()) == {0.0, 1.0}


def test_a_gradient_is_refused_by_name() -> None:
    for access in ("scores", "labels"):
        with pytest.raises(ContractError, match=f'asked for a gradient, which access = "{access}" withholds'):
            handle(access=access)(GIVEN.images.clone().requires_grad_(True))  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="asked for a gradient"):
        torch.func.grad(lambda images: handle()(images).sum())(GIVEN.images)


def test_rows_must_be_known() -> None:
    with pytest.raises(ContractError, match="asked about 3 images of 4"):
        handle()(GIVEN.images[:3])


@pytest.mark.parametrize("rows", [[-1], [4], [0, 1], [[0]], [0.0], [True]])
def test_rows_that_name_no_image_are_refused_before_an_answer(rows: list[Any]) -> None:
    """A negative row would name an image, and be answered, but not counted."""
    asked = QueriedNetwork(MODEL, GIVEN.take(slice(0, 4)), Budget("linf", 1.0, 1, 9, access="scores", queries=9))
    points = 1 - GIVEN.images[:1]
    with pytest.raises(ContractError, match=r"named rows that are not int64 \[1\] from 0 to 3"):
        ask(asked, points, torch.tensor(rows))
    assert asked.spent.tolist() == asked.fooled_at.tolist() == [0] * 4


def test_nothing_of_the_network_is_found_by_walking_over_the_handle() -> None:
    asked = handle()
    assert list(asked.parameters()) == []
    assert list(asked.modules()) == [asked]
    assert copy.deepcopy(asked) is asked


def test_only_images_inside_the_ball_fool() -> None:
    asked, away = handle(1), (GIVEN.images[:1] + 0.5 * torch.randn(200, 1, 12, 12)).clamp(0, 1)
    fooling = away[MODEL(away).argmax(1) != GIVEN.labels[0]][:1]
    assert len(fooling) == 1
    asked(fooling)
    assert asked.fooled_at.tolist() == [0]
    wide = QueriedNetwork(MODEL, GIVEN.take(slice(0, 1)), Budget("linf", 1.0, 1, 9, access="scores", queries=9))
    wide(torch.cat([GIVEN.images[:1], fooling, fooling]))
    assert wide.fooled_at.tolist() == [2]
    assert torch.equal(wide.images, fooling)
    with pytest.raises(QueriesSpent):  # nothing is left to ask about an image that is fooled
        wide(fooling)


class Asking:
    """Asks in one way until it is stopped, and yields nothing but clean images."""

    def __init__(self, way: Callable[[nn.Module, Examples, int], Any], names_rows: bool) -> None:
        self.way, self.names_rows = way, names_rows

    def __call__(self, model: nn.Module, given: Examples, rng: Any) -> Iterator[Tensor]:
        for index in range(1000):
            with suppress(ValueError, RuntimeError):  # as a library that goes on after errors
                self.way(model, given, index)
        yield given.images


def counted(attack: Any) -> QueriedRun:
    run = AttackRun(attack, MODEL, GIVEN, ImageStreams(0, GIVEN.ids), PassCounter(MODEL))
    queried = QueriedRun(run, limits())
    with torch.no_grad():
        list(queried.steps())
    return queried


@pytest.mark.parametrize("names_rows", [False, True])
def test_a_run_is_stopped_at_the_limit(names_rows: bool) -> None:
    queried = counted(Asking(lambda model, given, index: model(given.images), names_rows))
    assert queried.queries is not None
    assert queried.queries.spent.tolist() == [LIMIT] * 4
    assert queried.run.passes.forwards == 4 * LIMIT


def test_an_attack_that_batches_inside_is_counted_exactly() -> None:
    queried = counted(Asking(lambda model, given, index: model(given.images.repeat(3, 1, 1, 1)), False))
    assert queried.queries is not None
    assert queried.queries.spent.tolist() == [LIMIT] * 4


def caught(call: Callable[[], object]) -> None:
    """Make a call and go on, whatever it raises, as an attack does that hides what it asks."""
    with suppress(Exception):
        call()


AROUND: dict[str, Callable[[nn.Module, Examples, int], object]] = {
    "the source": lambda model, given, index: model._source(given.images),
    "its forward": lambda model, given, index: model._source.forward(given.images),
    "a layer": lambda model, given, index: next(model._source.children())(given.images),
    "a copy": lambda model, given, index: copy.deepcopy(model._source)(given.images),
    "caught": lambda model, given, index: caught(lambda: model._source(given.images)),
    "its forward, caught": lambda model, given, index: caught(lambda: model._source.forward(given.images)),
}


@pytest.mark.parametrize("way", AROUND)
def test_calling_around_the_handle_is_refused(way: str) -> None:
    with pytest.raises(ContractError, match="in another way than through the network that it was given"):
        counted(Asking(AROUND[way], True))


SCORES = 'access = "scores"\nqueries = 30'
SQUARE = ('recipe = "pgd"', 'recipe = "square"')


def with_queries(write_suite: Any, *changes: tuple[str, str]) -> Path:
    found: Path = write_suite(('norm = "linf"\neps = 0.1', f'norm = "linf"\neps = 0.1\n{SCORES}'), *changes)
    return found


def test_an_attack_that_needs_gradients_is_refused_before_the_run(write_suite, registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"attacks\.PGD.*it needs gradients, but budgets\.linf gives only scores"):
        resolve_suite(load_suite(with_queries(write_suite)), registry)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("queries = 30", r"budgets\.linf: found queries = 30 with gradients"),
        ('access = "labels"', r"budgets\.linf: found access = \"labels\" without a limit \(try queries = 1000\)"),
        (f"{SCORES}\npasses = 9", r"budgets\.linf: found passes and also queries"),
        ('access = "logits"\nqueries = 3', r"budgets\.linf\.access: "),
    ],
)
def test_what_does_not_fit_together_is_one_line(new: str, message: str, write_suite, registry: Registry) -> None:
    suite = write_suite(('norm = "linf"\neps = 0.1', f'norm = "linf"\neps = 0.1\n{new}'), SQUARE)
    with pytest.raises(UsageError, match=message):
        resolve_suite(load_suite(suite), registry)


def test_the_metric_needs_budgets_that_count(write_suite, registry: Registry) -> None:
    suite = write_suite(SQUARE, append="\n[metrics.q]\nrecipe = 'queries'\n")
    with pytest.raises(UsageError, match=r"metrics\.q: counts queries, but budgets\.linf gives gradients"):
        resolve_suite(load_suite(suite), registry)


def test_executors_count_alike(tmp_path: Path) -> None:
    text = GOOD.replace('recipe = "pgd"', 'recipe = "square"').replace("steps = 2", SCORES)
    text = text.replace('"IR" = { recipe = "ir", grid = 14, samples = 1, cells = 8 }', '"SimBA" = { recipe = "simba" }')
    suite = tmp_path / "small.toml"
    suite.write_text(text)
    found = []
    for executor, workers in (("inline", None), ("local", 2)):
        result = run(str(suite), out=tmp_path / executor, executor=executor, workers=workers)
        assert result.complete
        scores = [score for score in result.scores if score.metric in ("attack.queries", "attack.forwards")]
        assert scores
        found.append([(score.metric, score.score.value, score.per_image.values.tolist()) for score in scores])
    assert found[0] == found[1]
    assert all(0 < value <= 30 for metric, value, _ in found[0] if metric == "attack.queries")


def test_limits_are_in_the_address_only_where_there_are_some() -> None:
    from bench_core.planning.jobs import _addressed_budget

    plain = Budget("linf", 0.1, 0.1, 3)
    assert "access" not in _addressed_budget(plain)
    assert _addressed_budget(limits())["queries"] == LIMIT
    assert np.isclose(_addressed_budget(plain)["eps"], 0.1)
