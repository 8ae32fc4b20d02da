"""`bench publish`: one line for success and for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_core.cli import main
from bench_core.publishing import text_table
from bench_core.tables.table import Table, TableCell


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        printed = capsys.readouterr()
        assert not printed.out
        return int(left.value.code or 0), printed.err

    return call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--to", "every-eval-evr"], 'bench: --to: unknown publisher "every-eval-evr" (did you mean "e'),
        (
            ["nowhere", "--to", "every-eval-ever"],
            "bench: --to every-eval-ever: organisation: missing (try --set organisation=VALUE; ",
        ),
        (
            ["nowhere", "--to", "every-eval-ever", "--set", "organisation=L", "--set", "developer=l"],
            "bench: nowhere: no finished run is here (try ",
        ),
        (["nowhere", "--to", "every-eval-ever", "--set", "to"], "bench: --set: to: not of the form key=value"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_line(bench, arguments: list[str], message: str) -> None:
    code, text = bench("publish", *arguments)
    assert code == 2
    assert text.startswith(message)


def test_a_missing_library_is_named_with_what_to_install(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    import sys

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "wandb" else find_spec(name, *more)
    )
    monkeypatch.delitem(sys.modules, "bench_publishers.wandb", raising=False)
    code, text = bench("publish", "nowhere", "--to", "wandb")
    assert code == 2
    assert (
        'plugin wandb is unavailable: ImportError: wandb is not installed (try pip install "adversarial-bench[wandb]")'
        in text
    )
    assert len(text.splitlines()) == 1


def test_labels_are_no_markup_in_a_markdown_table() -> None:
    table = Table("t", "<b>|title", ("a|b", "x"), 1, ((("*[l](u)*",), (TableCell(0.5, 0.4, 0.6, 9),)),), True, ("`n`",))
    text = text_table(table)
    assert "| 50.0% [40.0%, 60.0%], N = 9 |" in text
    assert "<b>" not in text
    assert "a&#124;b" in text
    assert r"\*\[l\](u)\*" in text


def test_it_says_where_the_results_are(bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--set", "organisation=L", "--set", "developer=l", "--set", 'higher=["clean.accuracy"]']
    code, text = bench("publish", str(finished.folder), "--to", "every-eval-ever", *given)
    assert code == 0
    assert text.splitlines() == [
        "bench: the run is incomplete or has void cells, which are not published",
        "bench: published to every-eval-ever: data/toy/l/NETWORK of 2 networks",
    ]
