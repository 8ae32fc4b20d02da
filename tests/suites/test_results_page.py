"""The page of results says what the intervals say, about every suite of the transfer paper."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench_core import load_suite, run
from bench_core.plots import write_plots
from bench_core.registry import Registry
from bench_core.suite import own_suites

SCRIPT = Path(__file__).parents[2] / "docs" / "make_results.py"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_results", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ABOVE, BELOW, ACROSS = (0.1, 0.3), (-0.3, -0.1), (-0.1, 0.2)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([ABOVE, ABOVE], "**shows**: 2 of 2 intervals on its side of zero, 0 on the other"),
        ([ABOVE, ACROSS], "**shows in part**: 1 of 2"),
        ([ACROSS, (0.0, 0.0)], "**does not show**: 0 of 2"),
        ([ABOVE, BELOW], "**shows in some cases, the opposite in others**: 1 of 2 intervals on its side of zero, 1 on"),
        ([BELOW, ACROSS], "**does not show: the opposite does in part**"),
        ([BELOW, BELOW], "**does not show: the opposite does**"),
        ([], "cannot be said"),
    ],
)
def test_a_verdict_follows_from_intervals(page: ModuleType, intervals: list, expected: str) -> None:
    for side in (1, -1):  # a finding that lies below zero is judged as its mirror image
        evidence = [page.Evidence("x", *sorted((side * low, side * high))) for low, high in intervals]
        assert page.verdict(page.Finding("", side, lambda _: []), evidence).startswith(expected)


def test_every_suite_of_the_paper_has_findings_and_what_they_name_exists(page: ModuleType) -> None:
    ours = {name for name in own_suites() if name.startswith("transfer_")}
    assert set(page.FINDINGS) == set(page.SHOWN) == ours
    for name in ours:
        assert set(page.SHOWN[name]) <= {table.name for table in load_suite(name, "embedded").tables}


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
    assert text.count("intervals on its side of zero") == len(page.FINDINGS["transfer_fig5"])
    assert "of 2 intervals" in text
    assert "N = 4 images" in text
    assert "pictures/transfer_fig5_histogram.png" in text
    assert (tmp_path / "pictures" / "transfer_fig5_histogram.png").is_file()
