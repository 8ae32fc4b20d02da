"""The examples in the README work, and the small suite of docs/suites.md."""

import re
import sys
from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.registry import Origin, discover
from bench_core.suite.find import own_suites
from bench_core.tables.headline import headline
from bench_core.tables.table import Table, TableCell

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SUITES = (ROOT / "docs" / "suites.md").read_text()
MOST_LINES = 140  # of the README; what is longer belongs to a page


def blocks(language: str, page: str = README) -> list[str]:
    """Return the fenced blocks of one language; "" selects blocks without a language."""
    pieces = re.split(r"^```(.*)\n", page, flags=re.MULTILINE)  # text, language, block, "", text, ...
    return [block for fence, block in zip(pieces[1::4], pieces[2::4], strict=True) if fence == language]


def test_it_has_exactly_the_two_commands() -> None:
    install, test = blocks("sh")  # .ci/run runs them
    assert "bench run suites/transfer_table1.toml" in install
    assert "pytest" in test


def test_it_is_short_and_begins_with_a_picture() -> None:
    assert len(README.splitlines()) <= MOST_LINES
    assert README.index("![") < README.index("## ")


def test_the_headline_is_drawn_as_bench_run_draws_it() -> None:
    (shown,) = blocks("text")
    title, *lines, _axis = shown.splitlines()
    rows = []
    for line in lines:
        name, numbers = re.split(r"\s{2,}", line)[0], re.findall(r"[+-][\d.]+", line)
        value, low, high = (float(number) / 100 for number in numbers[-3:])
        rows.append(((name,), (TableCell(value, low, high, 50, signed=True),)))
    suite, column = title.split(": mean - ")
    table = Table("main", suite, ("row", f"mean - {column.split()[0]}"), 1, tuple(rows), True, (), "black-box targets")
    drawn = headline([table])
    # the numbers are rounded, so that an end of an interval may be drawn one character beside, or on the axis
    assert [re.sub("[─│┼ ]+", " ", line) for line in drawn] == [
        re.sub("[─│┼ ]+", " ", line) for line in shown.splitlines()
    ]
    assert [len(line) for line in drawn] == [len(line) for line in shown.splitlines()]


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(next(block for block in blocks("toml", SUITES) if "[attacks]" in block))
    return str(path)


def test_the_suite_runs(suite: str, tmp_path: Path) -> None:
    result = run(
        load_suite(suite, overrides=["budgets.linf.steps=1", 'images.models=["VGG"]', 'targets=["VGG-adv"]']),
        out=tmp_path, limit=2, executor="inline",
    )  # fmt: skip
    assert result.complete
    assert {key[1] for key, _ in result.tables[0].rows} == {"PGD", "MI", "MI+IR"}


def test_the_error_message_is_the_one_shown(suite: str, tmp_path: Path) -> None:
    path = Path(suite)
    path.write_text(path.read_text().replace('{ recipe = "mi" }', '{ recipe = "mi", decya = 1 }'))
    from bench_core.run_suite import resolve_suite

    with pytest.raises(UsageError) as caught:
        resolve_suite(load_suite(suite))
    shown = next(block for block in blocks("", SUITES) if block.startswith("bench: mine.toml"))
    assert shown.strip().removeprefix("bench: mine.toml: ") in str(caught.value)


def test_the_plugin_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_suite, registry) -> None:
    code = next(block for block in blocks("python") if "hookimpl" in block)
    (tmp_path / "my_attack.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_attack", raising=False)
    import my_attack  # type: ignore[import-not-found]

    registry.register(my_attack, Origin("my_attack", "mine", "1", ""))
    path = write_suite(('{ recipe = "pgd" }', '{ recipe = "sign_ascent", scale = 0.5 }'))
    result = run(path, out=tmp_path / "out", registry=registry, executor="inline")
    assert result.complete
    assert result.arrays("attack", source="A", attack="PGD")["linf"].max() <= 0.05 + 1e-6


def test_the_files_it_names_exist() -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).exists(), target
    for name in re.findall(r"`(suites/[\w/.]+|docs/[\w/.]+|plugins/[\w/.]+|bench_core/[\w/.]+)`", README):
        assert (ROOT / name).exists(), name
    assert "transfer_table1" in own_suites()
    assert discover().names("attacks")
