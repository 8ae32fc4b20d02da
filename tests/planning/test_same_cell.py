"""A network or metric with two names is computed once, and both names have the same rows."""

from bench_core import run
from bench_core.registry import Registry


def test_two_names_of_one_network_have_the_same_rows(registry: Registry, write_suite, tmp_path) -> None:
    twin = (
        '"B" = { recipe = "toy", seed = 2 }',
        '"B" = { recipe = "toy", seed = 2 }\n"twin" = { recipe = "toy", seed = 2 }',
    )
    suite = write_suite(twin, ('targets = ["A", "B"]', 'targets = ["A", "B", "twin"]'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    rows, rows_of_twin = (
        result.arrays("transfer", source="A", attack="PGD", target=target)["fooled"] for target in ("B", "twin")
    )
    assert rows.shape == (12, 4)  # images, steps
    assert (rows == rows_of_twin).all()


def test_two_names_of_one_metric_have_the_same_rows(registry: Registry, write_suite, tmp_path) -> None:
    suite = write_suite(("[metrics]", '[metrics]\nagain = { recipe = "transfer" }'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    rows, rows_of_twin = (
        result.arrays(metric, source="A", attack="PGD", target="B")["fooled"] for metric in ("transfer", "again")
    )
    assert rows.shape == (12, 4)
    assert (rows == rows_of_twin).all()
