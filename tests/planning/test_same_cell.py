"""Two names of one thing: what is observed under both is computed once and has the rows of one."""

from bench_core import run
from bench_core.registry import Registry


def test_two_names_of_one_network_have_the_same_rows(registry: Registry, write_suite, tmp_path) -> None:
    twin = (
        '"B" = { recipe = "toy", seed = 2 }',
        '"B" = { recipe = "toy", seed = 2 }\n"twin" = { recipe = "toy", seed = 2 }',
    )
    suite = write_suite(twin, ('targets = ["A", "B"]', 'targets = ["A", "B", "twin"]'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    one, other = (
        result.arrays("transfer", source="A", attack="PGD", target=target)["fooled"] for target in ("B", "twin")
    )
    assert one.shape == (12, 4)  # a row a step
    assert (one == other).all()


def test_two_names_of_one_metric_have_the_same_rows(registry: Registry, write_suite, tmp_path) -> None:
    suite = write_suite(("[metrics]", '[metrics]\nagain = { recipe = "transfer" }'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    one, other = (
        result.arrays(metric, source="A", attack="PGD", target="B")["fooled"] for metric in ("transfer", "again")
    )
    assert one.shape == (12, 4)
    assert (one == other).all()
