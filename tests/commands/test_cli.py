"""The command line: every mistake is one clear line and exit code 2; nothing is half-written."""

import csv
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench_core.cli import app, guard
from bench_core.suite.find import own_suites

GOOD = """
title = "small"
profiles = ["embedded"]
[images]
count = 4
models = ["VGG"]
[budgets.linf]
norm = "linf"
eps = "8/255"
step_size = "2/255"
steps = 2
[attacks]
"PGD" = { recipe = "pgd" }
"IR" = { recipe = "ir", grid = 14, samples = 1, cells = 8 }
[metrics]
transfer = { recipe = "transfer" }
[on.embedded]
sources = ["ResNet-S"]
targets = ["VGG"]
[[tables]]
name = "main"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.success"
format = "percent"
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command line in a temporary folder; return exit code, output and error lines."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = guard(lambda: app(list(arguments), prog_name="bench", standalone_mode=False), False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "x = = 3", "cannot read"),
        ('title = "small"', 'titel = "small"', 'titel: unknown key (did you mean "title"?)'),
        ("eps =", "epislon =", "budgets.linf.epislon"),
        ('eps = "8/255"', "eps = 300", 'found eps 300, but images are in [0, 1] (try "300/255")'),
        ('eps = "8/255"', 'eps = "eight"', 'budgets.linf.eps: found "eight", which is not a number'),
        ('eps = "8/255"', 'eps = "8**9**9**9"', 'budgets.linf.eps: found "8**9**9**9", which is not a number'),
        ('eps = "8/255"', "eps = -0.1", "budgets.linf.eps: input should be greater than or equal to 0, found -0.1"),
        ("steps = 2", 'steps = "2"', "budgets.linf.steps"),
        ("steps = 2", "steps = 0", "budgets.linf.steps"),
        ('recipe = "pgd"', 'recipe = "pdg"', 'attacks.PGD.recipe: unknown attack "pdg" (did you mean "pgd"?)'),
        ('recipe = "pgd"', 'recipe = "pgd", parts = ["ir"]', "attacks.PGD"),
        ("grid = 14", "gird = 14", 'attacks.IR.gird: unknown key (did you mean "grid"?)'),
        ("grid = 14", 'grid = "many"', "attacks.IR.grid"),
        (
            "grid = 14",
            "grid = 5",
            "attacks.IR.grid: found 5, which does not divide 28 x 28 pixels (try 1, 2, 4, 7, 14, 28)",
        ),
        ("cells = 8", "cells = 197", "attacks.IR.cells: found 197, more than the 196"),
        (
            'sources = ["ResNet-S"]',
            'sources = ["ResNet-X"]',
            'sources: unknown name "ResNet-X" (did you mean "ResNet-S"?)',
        ),
        ('targets = ["VGG"]', 'targets = ["VGG", "VGG"]', 'targets: "VGG" is listed twice'),
        ('recipe = "transfer"', 'recipe = "tranfser"', "metrics.transfer.recipe"),
        ('"transfer.success"', '"transfer.succes"', 'found "transfer.succes", expected one of transfer.success'),
        ('rows = ["source", "attack"]', 'rows = ["sauce"]', 'unknown dimension "sauce"'),
        ("count = 4", "count = true", "images.count"),
        ('profiles = ["embedded"]', "profiles = 3", "profiles"),
        ("[on.embedded]", "[on.imbedded]", 'on.imbedded: unknown profile (did you mean "embedded"?)'),
        ("count = 4", 'count = 4\ndigest = "abc"', "images.digest: found abc, but the list has"),
    ],
)
def test_a_mistake_in_a_suite_is_one_line_that_names_file_and_key(old: str, new: str, expected: str, bench) -> None:
    text = GOOD.replace(old, new, 1) if old else GOOD + new
    assert text != GOOD
    Path("small.toml").write_text(text)
    code, out, errors = bench("run", "small.toml", "--executor", "inline")
    assert code == 2
    assert out == ""
    assert any(expected in line and "small.toml" in line for line in errors), errors
    assert not any("Traceback" in line for line in errors)
    assert not Path("results/small").exists()


def test_all_mistakes_in_a_file_are_reported_together(bench) -> None:
    text = GOOD.replace("steps = 2", "steps = -1\nstpes = 3").replace("count = 4", 'count = "x"')
    Path("small.toml").write_text(text)
    code, _, errors = bench("plan", "small.toml")
    assert code == 2
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "missing.toml"], "missing.toml: no such suite file"),
        (["run", "transfer_tabel1"], 'did you mean "transfer_table1"?'),
        (["run", "small.toml", "--profile", "embeded"], 'no profile "embeded" (did you mean "embedded"?)'),
        (["run", "small.toml", "--set", "nonsense"], "not of the form key=value"),
        (
            ["run", "small.toml", "--set", "budgets.linf.stpes=3"],
            "--set budgets.linf.stpes=3: budgets.linf.stpes: unknown key",
        ),
        (["run", "small.toml", "--executor", "rya"], 'unknown executor "rya"'),
        (["run", "small.toml", "--limit", "0"], "--limit"),
        (["run", "small.toml", "--device", "gpu"], 'found "gpu" (try auto, cpu, cuda, cuda:N, mps)'),
        (["run", "small.toml", "--precision", "float8"], "float8"),
        (["run", "small.toml", "--nonsense"], "--nonsense"),
        (["show", "small.toml"], "results/small/embedded: no finished run is here (try the folder of a run"),
        (["show", "nothing_like_it"], "no run in results has this name, and no suite (nearest: "),
        (
            ["run", "small.toml", "--set", "attacks.PGD.stpes=3"],
            "--set attacks.PGD.stpes=3: attacks.PGD.stpes: unknown key",
        ),
        (["plan", "small.toml", "--data", "nowhere"], '--data "nowhere": data.root: unknown key'),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments: list[str], expected: str, bench) -> None:
    Path("small.toml").write_text(GOOD)
    code, out, errors = bench(*arguments)
    assert code == 2
    assert out == ""
    assert len(errors) == 1
    assert expected in errors[0]


def test_overrides_and_limits_reach_the_run(bench) -> None:
    Path("small.toml").write_text(GOOD)
    code, out, _ = bench(
        "run",
        "small.toml",
        "--executor",
        "inline",
        "--limit",
        "2",
        "--set",
        "budgets.linf.steps=3",
        "--set",
        'title=other "one"',
    )
    assert code == 0
    assert 'other "one"' in out
    assert "N = 2 images" in out
    facts = json.loads(Path("results/small/embedded/run.json").read_text())
    assert facts["suite"]["budgets"]["linf"]["steps"] == 3
    assert "--limit 2" in facts["reproduce"]
    assert "budgets.linf.steps=3" in facts["reproduce"]
    shown = bench("show", "small.toml")
    assert shown[:2] == (0, out)
    assert bench("show", "results/small/embedded")[1] == out
    for form, mark in (
        ("markdown", "| source |"),
        ("csv", "source,attack,VGG"),
        ("latex", r"\begin{table}"),
        ("json", '"rows"'),
    ):
        code, text, _ = bench("show", "small.toml", "--format", form, "--ci")
        assert code == 0
        assert mark in text


def test_a_limit_of_memory_needs_what_it_changes(bench) -> None:
    code, _, error = bench("plan", "suite.toml", "--memory", "2G")
    assert (code, error) == (2, ["bench: --memory: changes only what --cost measures (try --cost with it)"])


def test_a_plan_shows_costs_and_what_is_stored(bench) -> None:
    Path("small.toml").write_text(GOOD)
    code, text, _ = bench("plan", "small.toml")
    assert code == 0
    assert "0 of them stored" in text
    bench("run", "small.toml", "--executor", "inline")
    record = json.loads(bench("plan", "small.toml", "--json")[1])
    assert record["stored"] == record["cells"] > 0
    (ir,) = [group for group in record["groups"] if group["attack"] == "IR"]
    assert ir["forwards"] == 4 * (2 * 3 + 1)
    assert ir["forwards_to_do"] == 0
    assert json.loads(bench("plan", "small.toml", "--format", "json")[1]) == record
    rows = list(csv.DictReader(io.StringIO(bench("plan", "small.toml", "--format", "csv")[1])))
    assert [float(row["forwards"]) for row in rows] == [group["forwards"] for group in record["groups"]]
    assert "| IR |" in bench("plan", "small.toml", "--format", "markdown")[1]
    assert bench("plan", "small.toml", "--format", "jsn")[0] == 2


def test_suites_lists_every_suite_with_its_profiles(bench) -> None:
    code, text, _ = bench("suites", "--format", "csv")
    assert code == 0
    rows = {row["suite"]: row for row in csv.DictReader(io.StringIO(text))}
    assert set(rows) == set(own_suites())
    for name, path in own_suites().items():
        suite = tomllib.loads(path.read_text())
        assert (rows[name]["profiles"], rows[name]["title"]) == (", ".join(suite["profiles"]), suite["title"])


def test_no_arguments_give_help(bench) -> None:
    code, out, _ = bench()
    assert code == 2
    assert "plugins" in out


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "transfer_table1"],
        ["plugins"],
        ["plugins", "attacks", "mi"],
        ["suites"],
        ["show", "small.toml"],
        ["--help"],
    ],
)
def test_torch_is_not_imported_where_no_tensor_is_needed(command: list[str], bench) -> None:
    Path("small.toml").write_text(GOOD)
    if command[0] == "show":
        bench("run", "small.toml", "--executor", "inline")
    code = "import sys\nfrom bench_core.cli import app, guard\n"
    code += f"guard(lambda: app({command!r}, standalone_mode=False), False)\n"
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
