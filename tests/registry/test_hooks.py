"""Every hook has an effect: one run uses what each hook offers and notifies the others. So must a new hook."""

from collections.abc import Callable
from typing import Any

import pytest

from bench_attacks.plugin import RECIPES
from bench_core import hookspecs, run
from bench_core.executors.inline import Inline
from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe
from bench_core.registry import Origin, Registry
from bench_core.result import Result
from bench_core.runs.finished import load_finished
from bench_core.tables.formats import PLAIN, find_format
from bench_core.tables.sheet import sheet_of
from bench_core.tables.table import Table
from bench_core.types import AttackRecipe, DataRecipe, ExecutorRecipe, MetricRecipe, ModelRecipe
from bench_metrics.clean_accuracy import CleanAccuracy
from tests.toys import ToyImages, toy_network

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("bench_"))


class Plugin:
    """Implements every hook; `used` are the hooks whose recipe was built, or that were called."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.events: list[tuple[str, object]] = []

    def record(self, hook: str, build: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*given: Any) -> Any:
            self.used.add(hook)
            return build(*given)

        return recorded

    @hookimpl
    def bench_attacks(self):
        build = self.record("bench_attacks", RECIPES["pgd"].build)

        def my_attack(budget):
            return build(budget)

        return {"my_attack": AttackRecipe(my_attack, "an attack")}

    @hookimpl
    def bench_metrics(self):
        build = self.record("bench_metrics", CleanAccuracy)

        def my_metric():
            return build()

        return {"my_metric": MetricRecipe(my_metric, "a metric")}

    @hookimpl
    def bench_models(self):
        build = self.record("bench_models", toy_network)

        def my_model(seed: int = 0):
            return build(seed)

        return {"my_model": ModelRecipe(my_model, lambda seed: {"seed": seed}, "a model")}

    @hookimpl
    def bench_datasets(self):
        build = self.record("bench_datasets", ToyImages)

        def my_images():
            return build()

        return {"my_images": DataRecipe(my_images, "a dataset")}

    @hookimpl
    def bench_executors(self):
        build = self.record("bench_executors", Inline)
        return {"my_inline": ExecutorRecipe(lambda workers, registry: build(registry), "an executor")}

    @hookimpl
    def bench_publishers(self):
        build = self.record("bench_publishers", lambda: self)

        def my_publisher():
            return build()

        return {"my_publisher": PublisherRecipe(my_publisher, "a publisher")}

    def publish(self, run):
        self.events.append(("published", run.facts["seed"]))
        return "memory"

    @hookimpl
    def bench_run_started(self, plan):
        self.used.add("bench_run_started")
        self.events.append(("started", plan.cells_stored))

    @hookimpl
    def bench_cell_done(self, job, rows, reason):
        self.used.add("bench_cell_done")
        self.events.append(("void" if reason else "done", set(job.labels)))
        assert bool(rows) != bool(reason)

    @hookimpl
    def bench_run_finished(self, result):
        self.used.add("bench_run_finished")
        self.events.append(("finished", result.complete))

    @hookimpl
    def bench_formats(self):
        self.used.add("bench_formats")
        return {"angle": "angle"}

    @hookimpl
    def bench_render(self, table, format):
        self.used.add("bench_render")
        return f"<{table.name}>" if format == "angle" else None


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def result(plugin: Plugin, registry: Registry, write_suite, tmp_path) -> Result:
    registry.register(plugin, Origin("plugin", "tests", "1", ""))
    suite = write_suite(
        ("clean_accuracy", "my_metric"),
        ("toy_images", "my_images"),
        ('"B" = { recipe = "toy"', '"B" = { recipe = "my_model"'),
        ('"PGD" = { recipe = "pgd" }', '"bad" = { recipe = "bad_nan" }\n"PGD" = { recipe = "my_attack" }'),
    )
    return run(suite, out=tmp_path, registry=registry, executor="my_inline")


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_an_effect(hook: str, plugin: Plugin, result: Result, registry: Registry) -> None:
    find_format("angle", registry.manager)(sheet_of(Table("t", "", (), 0, (), False, ())), PLAIN)
    registry.find("publishers", "my_publisher", "", "").build().publish(load_finished(result.folder, registry))
    assert hook in plugin.used


def test_offered_recipes_give_scores(result: Result) -> None:
    assert "clean.accuracy" in {score.metric for score in result.scores}
    kept = [score for score in result.scores if score.labels.get("attack") == "PGD"]
    assert kept
    assert not any(score.void for score in kept)


def test_a_plugin_is_notified_of_a_run(plugin: Plugin, result: Result) -> None:
    assert plugin.events[0] == ("started", 0)
    assert plugin.events[-1] == ("finished", False)
    kinds = [kind for kind, _ in plugin.events[1:-1]]
    assert kinds.count("void") == 6, "two sources, three micro-batches"
    assert kinds.count("done") == 2 + 6, "the clean images of two models; the attack that keeps its contract"


def test_the_first_plugin_that_renders_a_format_wins(plugin: Plugin, registry: Registry) -> None:
    registry.register(plugin, Origin("plugin", "tests", "1", ""))
    table = Table("t", "", (), 0, (), False, ())
    assert find_format("angle", registry.manager)(sheet_of(table), PLAIN) == "<t>"
