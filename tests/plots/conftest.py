"""A toy run with a plot of every kind."""

import pytest

from bench_core import run
from bench_core.result import Result

EVERY_KIND = r"""
[attacks.IR]
recipe = "ir"
grid = 2
cells = 1
samples = 2
sweep = { strength = [0, 1, 4] }
[attacks."$\\frac{1}{0}$ <b>&amp;\"\u0007 x_1"]
recipe = "noise"
[metrics.utility]
recipe = "transfer_utility"
[metrics.interaction]
recipe = "interaction"
grid = 2
[metrics.round]
recipe = "neighbour_interaction"
grid = 2
contexts = 2
[metrics.size]
recipe = "distances"
[metrics.far]
recipe = "fooling_distance"
norm = "linf"
[optimality.best]
value = "far.distance"
[correlations.seen]
x = "interaction.mean"
y = "utility.utility"
[[plots]]
name = "heatmap"
kind = "heatmap"
value = "transfer.success"
panels = ["attack"]
format = "percent"
[[plots]]
name = "curves"
kind = "curves"
value = "transfer.at_step"
panels = ["source", "target"]
format = "percent"
[[plots]]
name = "curves of the mean"
kind = "curves"
value = "transfer.at_step"
mean_over = ["target"]
where = { source = "A" }
[[plots]]
name = "sweep"
kind = "sweep"
value = "transfer.success"
x = "strength"
mean_over = ["target"]
[[plots]]
name = "stacked"
kind = "stacked"
value = "interaction.mean"
parts = ["attack"]
[[plots]]
name = "scatter"
kind = "scatter"
value = "seen"
markers = ["strength"]
[[plots]]
name = "histogram"
kind = "histogram"
value = "interaction.per_cell"
panels = ["source"]
[[plots]]
name = "distances"
kind = "distances"
value = "best"
where = { source = "A" }
[[plots]]
name = "maps"
kind = "maps"
value = "round.map"
where = { source = "A" }
images = 2
[[plots]]
name = "price"
kind = "pareto"
value = "transfer.at_step"
panels = ["source"]
mean_over = ["target"]
format = "percent"
[[plots]]
name = "size"
kind = "pareto"
cost = "size.l2"
value = "transfer.last"
panels = ["source"]
mean_over = ["target"]
format = "percent"
"""


@pytest.fixture(scope="module")
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One run of the toy suite with a plot of every kind."""
    from bench_core.registry import Origin, discover

    from ..conftest import SUITE
    from ..toys import ToyPlugin

    folder = tmp_path_factory.mktemp("plots")
    (folder / "toy.toml").write_text(SUITE + EVERY_KIND)
    registry = discover()
    registry.register(ToyPlugin(), Origin("toys", "tests", "1", "toys-source"))
    return run(str(folder / "toy.toml"), out=folder, registry=registry, executor="inline")
