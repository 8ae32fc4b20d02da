"""The benchmarks' own arithmetic; what they measure is no test's business."""

import ast
from pathlib import Path

import pytest

from benchmarks.__main__ import ROOT, SCRIPTS, page
from benchmarks.side_by_side import compared, in_turns, quartiles


def test_contestants_take_turns_and_the_first_turn_warms_up() -> None:
    order: list[str] = []
    clock = iter(range(100))
    seconds = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, lambda: next(clock))
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [1, 1], "b": [1, 1]}


def test_a_ratio_is_the_median_of_the_turns_ratios() -> None:
    text = compared({"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 2.0, 8.0]}, "ours")
    assert "2.00 [1.50, 2.50]" in text
    assert quartiles([5.0]) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_every_script_can_be_run_and_says_what_it_measures(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if path.stem in SCRIPTS:
        assert ast.get_docstring(tree)
        assert any(isinstance(each, ast.FunctionDef) and each.name == "main" for each in tree.body)


def test_the_page_has_every_output_under_its_claim() -> None:
    text = page({"peak": "114 GFLOP/s  \n", "store": "10 ms"})
    assert (
        f"## The machine's peak\n\n{SCRIPTS['peak'][1]}\n\n`python -m benchmarks.peak`\n\n```text\n114 GFLOP/s\n"
        in text
    )
    assert "## The store" in text
