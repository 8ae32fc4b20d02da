"""`bench check` and `bench new` on the command line: output, exit codes, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench_core.cli import main
from bench_core.testing import RULES


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def test_without_a_name_the_rules_are_listed(capsys) -> None:
    code, out, _ = bench(capsys, "check")
    assert code == 0
    for rules in RULES.values():
        for rule in rules.values():
            assert f"  {rule.name}: {rule.about}" in out


def test_one_rule_of_one_attack_as_json(capsys) -> None:
    code, out, _ = bench(capsys, "check", "vr", "--set", "copies=2", "--rule", "cost", "--json")
    assert code == 0
    found = json.loads(out)
    assert [(verdict["subject"], verdict["rule"], verdict["status"]) for verdict in found] == [
        ("attack vr copies=2 (linf)", "cost", "holds"),
        ("attack vr copies=2 (l2)", "cost", "holds"),
    ]


def test_an_attack_is_compared_with_another(capsys) -> None:
    assert bench(capsys, "check", "mi", "--rule", "like", "--like", "mi")[0] == 0
    code, out, _ = bench(capsys, "check", "mi", "--rule", "like", "--like", "pgd")
    assert code == 1
    assert "FAILED attack mi (l2)::like - step 2 differs from pgd" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("check", "pdg"), 'nothing is called "pdg" (did you mean "pgd"?)'),
        (("check", "mi", "--set", "decya=1"), 'mi.decya: unknown key (did you mean "decay"?)'),
        (("check", "mi", "--rule", "csot"), 'unknown rule "csot" (did you mean "cost"?)'),
        (("check", "mi", "--like", "im"), 'unknown attack "im"'),
        (("new", "attack", "pgd"), '"pgd" is taken'),
        (("new", "attack", "../up"), "letters, digits and -"),
        (("new", "model", "json"), '"json" is taken'),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments: tuple[str, ...], expected: str) -> None:
    code, _, err = bench(capsys, *arguments)
    assert code == 2
    assert expected in err
    assert err.count("\n") == 1


def test_a_package_is_written_once(capsys, tmp_path: Path) -> None:
    code, out, _ = bench(capsys, "new", "metric", "My-Own", "--into", str(tmp_path))
    assert code == 0
    assert str(tmp_path / "my-own" / "my_own" / "__init__.py") in out
    code, _, err = bench(capsys, "new", "metric", "my_own", "--into", str(tmp_path))
    assert code == 2
    assert "already exists" in err


@pytest.mark.parametrize(("kind", "article"), [("attack", "An"), ("metric", "A"), ("model", "A")])
def test_the_readme_of_a_new_package_is_proper_english(capsys, tmp_path: Path, kind: str, article: str) -> None:
    assert bench(capsys, "new", kind, "my-own", "--into", str(tmp_path))[0] == 0
    readme = (tmp_path / "my-own" / "README.md").read_text()
    assert f"{article} {kind} for bench, `my_own`." in readme
    assert f"{article.lower()} {kind}." in readme
    assert len({line.index("#") for line in readme.splitlines() if "   #" in line}) == 1
