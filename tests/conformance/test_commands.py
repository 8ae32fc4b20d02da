"""`bench check` and `bench new` on the command line: output, exit codes, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import Tensor

from bench_core.cli import main
from bench_core.commands.check import summary
from bench_core.testing import RULES
from bench_core.types import Examples, Model

from .ascent import Ascent, recipe, usual
from .offering import verdicts


def three_channels_only(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """Fails on images that do not have three channels, with a message that has the batch's numbers in it."""
    if images.shape[1] != 3:
        raise RuntimeError(f"expected 3 channels, got a batch of shape {tuple(images.shape)}")
    return usual(attack, model, images, examples)


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


@pytest.mark.parametrize("rule", ["cost", "like", "lowers_interaction"])
def test_only_the_rule_that_is_asked_runs_beside_a_reference(capsys, rule: str) -> None:
    _, out, _ = bench(capsys, "check", "pgd", "--rule", rule, "--like", "ir", "--json")
    assert [verdict["rule"] for verdict in json.loads(out)] == [rule, rule]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("check", "mi", "--rule", "like"), "like compares with another attack (try --like ATTACK)"),
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


def test_a_name_like_no_other_gets_the_five_nearest_and_how_to_list_all(capsys) -> None:
    for arguments, listing in (
        (("check", "zzzzzzzzzzzz"), "bench plugins"),
        (("check", "mi", "--like", "zzzzzzzzzzzz"), "bench plugins attacks"),
        (("plugins", "attacks", "zzzzzzzzzzzz"), "bench plugins attacks"),
    ):
        code, _, err = bench(capsys, *arguments)
        assert code == 2
        assert f"; {listing} lists all " in err
        assert err.count(",") == 4
        assert err.count("\n") == 1


def test_a_rule_that_raises_on_the_first_shape_says_which_shape_works_in_one_line() -> None:
    found = verdicts("attacks", recipe(gradient=three_channels_only))
    linf = [verdict for verdict in found if "(linf)" in verdict.subject]
    *lines, counts = summary(linf).splitlines()
    (line,) = [line for line in lines if line.startswith("FAILED")]
    assert " rules: raised RuntimeError: expected 3 channels" in line
    assert "; works at 3x12x12: say so in `check`" in line
    assert "one_channel" in line
    assert " failed, " in counts


@pytest.mark.parametrize(("kind", "article"), [("attack", "An"), ("metric", "A"), ("model", "A")])
def test_the_readme_of_a_new_package_is_proper_english(capsys, tmp_path: Path, kind: str, article: str) -> None:
    assert bench(capsys, "new", kind, "my-own", "--into", str(tmp_path))[0] == 0
    readme = (tmp_path / "my-own" / "README.md").read_text()
    assert f"{article} {kind} for bench, `my_own`." in readme
    assert f"{article.lower()} {kind}." in readme
    assert len({line.index("#") for line in readme.splitlines() if "   #" in line}) == 1
