"""The verdicts on the results page follow from the intervals, and every suite has findings."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.plots import write_plots
from bench_core.registry import Registry
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.scored import LabelledScore
from bench_core.suite.find import own_suites
from bench_core.suite.load import with_images
from bench_core.tables.table import Table, TableCell
from bench_core.types import Score

CATALOGUE = {"transfer_catalogue", "transfer_attention", "transfer_ensembles", "transfer_targeted"}  # catalogue.md
WHOLE_DATASETS = {500, 1000}  # clean accuracy is of all images
SCRIPT = Path(__file__).parents[2] / "docs" / "make_results.py"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_results", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(SCRIPT.parent))  # as for a script
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    module.evidence = sys.modules["evidence"]
    return module


ABOVE, BELOW, ACROSS = (0.1, 0.3), (-0.3, -0.1), (-0.1, 0.2)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([ABOVE, ABOVE], "**shows**: 2 of 2 intervals on the predicted side of zero, 0 on the other"),
        ([ABOVE, ACROSS], "**shows in part**: 1 of 2"),
        ([ACROSS, (0.0, 0.0)], "**does not show**: 0 of 2"),
        (
            [ABOVE, BELOW],
            "**shows in some cases, the opposite in others**: 1 of 2 intervals on the predicted side of zero, 1 on",
        ),
        ([BELOW, ACROSS], "**does not show: the opposite does in part**"),
        ([BELOW, BELOW], "**does not show: the opposite does**"),
        ([], "no verdict"),
    ],
)
def test_a_verdict_follows_from_intervals(page: ModuleType, intervals: list, expected: str) -> None:
    for side in (1, -1):  # a finding below zero is the mirror image
        evidence = [page.Evidence("x", *sorted((side * low, side * high))) for low, high in intervals]
        assert page.verdict(page.Finding("", side, lambda _: []), evidence).startswith(expected)


def test_every_suite_has_findings_and_the_tables_they_name_exist(page: ModuleType) -> None:
    assert set(page.FINDINGS) == set(page.SHOWN) == set(own_suites()) - CATALOGUE
    for name in page.SHOWN:
        assert set(page.SHOWN[name]) <= {table.name for table in load_suite(name, "embedded").tables}


def score(metric: str, values: list[float], **labels: str) -> LabelledScore:
    per_image = np.array(values)
    score = Score("", per_image.mean(), 0, 1, len(values), per_image=per_image)
    return LabelledScore(metric, Labels.of(labels), score, images=ImageSet.of("selected", range(len(values))))


def test_scores_are_paired_if_only_the_given_label_differs(page: ModuleType) -> None:
    scores = [
        score("d.auroc", [2, 3, 4], source="A", order="1.0", statistic="s"),
        score("d.auroc", [1, 2, 3], source="A", order="0.5", statistic="s"),
        score("d.auroc", [9, 9, 9], source="A", order="0.5", statistic="t"),
        score("d.auroc", [9, 9, 9], source="B", order="1.0", statistic="s"),
        score("e.auroc", [9, 9, 9], source="A", order="0.5", statistic="s"),
    ]
    found = page.evidence.paired("d.auroc", {"order": "1.0"}, {"order": "0.5"}, statistic="s")(
        SimpleNamespace(scores=scores)
    )
    assert found == [page.evidence.Evidence("A 0.5", 1.0, 1.0)]


def test_the_best_detector_can_have_either_direction(page: ModuleType) -> None:
    scores = [
        score("one.auroc", [0.6, 0.6], source="A", order="1"),
        score("one.auroc", [0.1, 0.1], source="A", order="2"),
        score("other.auroc", [0.7, 0.7], source="A", radius="1"),
    ]
    (found,) = page.evidence.best_detector("one.auroc", "other.auroc")(SimpleNamespace(scores=scores))
    assert (found.label, round(found.low, 9), round(found.high, 9)) == ("A", 0.2, 0.2)


def test_two_scores_are_compared_if_their_labels_are_equal(page: ModuleType) -> None:
    scores = [
        score("low.contrast", [3, 4], target="A"),
        score("low.chance", [1, 2], target="A"),
        score("low.contrast", [1, 1], target="B"),
        score("low.chance", [2, 2], target="B"),
    ]
    found = page.evidence.higher("low.contrast", "low.chance")(SimpleNamespace(scores=scores))
    assert found == [page.evidence.Evidence("A", 2.0, 2.0), page.evidence.Evidence("B", -1.0, -1.0)]


def test_the_page_has_no_fewer_images_than_it_had_or_than_the_suites_have(page: ModuleType) -> None:
    sections = page.sections_of(SCRIPT.with_name("results.md"))
    assert set(page.IMAGES) == set(sections) == set(own_suites()) - CATALOGUE
    for name, images in page.IMAGES.items():
        suite = load_suite(name, "embedded")
        assert with_images(suite, images).images.count == images
        assert images >= (suite.images.count or 0)
        shown = {int(number) for number in re.findall(r"^N = (?:\d+ to )?(\d+) images", sections[name], re.MULTILINE)}
        assert images >= max(shown - WHOLE_DATASETS), name


def test_the_sections_of_a_page_are_read_back(page: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    assert page.sections_of(file) == {}
    written = {"one": "## one\n\ntext\n\n#### table\n", "two": "## two\n\nmore\n"}
    file.write_text("\n".join([page.HEAD, *written.values()]))
    assert page.sections_of(file) == written


def test_cells_are_selected_by_row_and_column(page: ModuleType) -> None:
    cells = tuple(TableCell(value, value, value, 3) for value in (1.0, 2.0))
    rows = tuple(((source,), cells) for source in "AB")
    table = Table("t", "", ("source", "0.5", "1.0"), 1, rows, False, ())
    read = page.evidence.every_cell("t", ("1.0",), source=("B", "C"))
    assert read(SimpleNamespace(tables=[table])) == [page.evidence.Evidence("B to 1.0", 2.0, 2.0)]


@pytest.mark.parametrize("name", ["robustness_dropout", "robustness_recovery"])
def test_findings_have_evidence(name: str, page: ModuleType, installed: Registry, tmp_path: Path) -> None:
    suite = load_suite(name, "embedded", ['images.models=["ResNet-S"]', "budgets.linf.steps=8"])
    result = run(suite, out=tmp_path, limit=4, registry=installed, executor="inline")
    assert all(finding.read(result) for finding in page.FINDINGS[name])


def test_a_section_has_verdicts_tables_with_intervals_and_plots(
    page: ModuleType, installed: Registry, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    suite = load_suite("transfer_fig5", "embedded", ['images.models=["ResNet-S"]'])
    result = run(suite, out=tmp_path, limit=4, registry=installed, executor="inline")
    write_plots(result, installed)
    (tmp_path / "pictures").mkdir()
    text = page.section(result, tmp_path / "pictures")
    assert text.startswith("## transfer_fig5\n")
    assert text.count("intervals on the predicted side of zero") == len(page.FINDINGS["transfer_fig5"])
    assert "of 2 intervals" in text
    assert "N = 4 images" in text
    assert "pictures/transfer_fig5_histogram.png" in text
    assert (tmp_path / "pictures" / "transfer_fig5_histogram.png").is_file()
