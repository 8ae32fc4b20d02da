"""Every hook has a test, and this file says if one has not."""

from bench_core import hookspecs, run
from bench_core.executors.inline import Inline
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.tables.formats import PLAIN, find_format
from bench_core.tables.sheet import sheet_of
from bench_core.tables.table import Table
from bench_core.types import ExecutorRecipe, MetricRecipe
from bench_metrics.transfer import CleanAccuracy

TESTED = {
    "bench_attacks": "test_contracts.py", "bench_models": "test_run.py", "bench_datasets": "test_run.py",
    "bench_metrics": "here", "bench_executors": "here", "bench_run_started": "here", "bench_cell_done": "here",
    "bench_run_finished": "here", "bench_render": "here", "bench_formats": "test_plugin_formats.py",
}  # fmt: skip


def test_every_hook_is_tested() -> None:
    assert {name for name in vars(hookspecs) if name.startswith("bench_")} == set(TESTED)


class Listener:
    """Offers a metric and an executor, listens, and renders."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    @hookimpl
    def bench_metrics(self):
        return {"mine": MetricRecipe(CleanAccuracy, "a metric")}

    @hookimpl
    def bench_executors(self):
        return {"my_inline": ExecutorRecipe(lambda workers, registry: Inline(registry), "an executor")}

    @hookimpl
    def bench_run_started(self, plan):
        self.heard.append(("started", plan.cells_stored))

    @hookimpl
    def bench_cell_done(self, job, rows, reason):
        self.heard.append(("void" if reason else "done", set(job.labels)))
        assert bool(rows) != bool(reason)

    @hookimpl
    def bench_run_finished(self, result):
        self.heard.append(("finished", result.complete))

    @hookimpl
    def bench_render(self, table, format):
        return f"<{table.name}>" if format == "angle" else None


def test_plugins_are_asked_and_told(registry: Registry, write_suite, tmp_path) -> None:
    listener = Listener()
    registry.register(listener, Origin("listener", "tests", "1", ""))
    suite = write_suite(("clean_accuracy", "mine"), ('"PGD" =', '"bad" = { recipe = "bad_nan" }\n"PGD" ='))
    result = run(suite, out=tmp_path, registry=registry, executor="my_inline")
    assert "clean.accuracy" in {score.metric for score in result.scores}
    assert listener.heard[0] == ("started", 0)
    assert listener.heard[-1] == ("finished", False)
    kinds = [kind for kind, _ in listener.heard[1:-1]]
    assert kinds.count("void") == 6, "two sources, three micro-batches"
    assert kinds.count("done") == 2 + 6, "the clean images of two models; the attack that keeps its contract"
    table = Table("t", "", (), 0, (), False, ())
    assert find_format("angle", registry.manager)(sheet_of(table), PLAIN) == "<t>"
