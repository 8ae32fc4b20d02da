"""Four third-party packages, installed by pip: found, checked, run, blocked, and broken on purpose."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bench_core.cli import main
from bench_core.errors import UsageError
from bench_core.registry import discover
from bench_core.testing import offers

HERE = Path(__file__).parent
PACKAGES = ("acme-topk", "acme-flips", "acme-part", "acme-notes")
MODULES = ("acme_topk", "acme_flips", "acme_part", "acme_notes")
SUITE = """
title = "Somebody else's attack and metric"
profiles = ["embedded"]
[attacks]
"PGD"  = { recipe = "pgd" }
"TopK" = { recipe = "acme_topk", share = 0.25 }
"Part+MI" = { parts = ["acme_part", "mi"], keep = 0.25, decay = 0.5 }
[metrics]
flips = { recipe = "acme_flips" }
[on.embedded]
sources = ["VGG"]
targets = ["VGG"]
images = { count = 6, models = ["VGG"] }
budgets.linf = { norm = "linf", eps = "16/255", step_size = "4/255", steps = 3 }
[[tables]]
name = "main"
rows = ["attack"]
columns = ["target"]
value = "flips.ever"
"""


class Done(NamedTuple):
    """What a command returned and printed."""

    returncode: int
    stdout: str
    stderr: str


Bench = Callable[..., Done]


def pip_install(target: Path, *packages: Path) -> None:
    """Install from sources as a user would, without the network."""
    pytest.importorskip("pip")
    given = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    given += ["--disable-pip-version-check", "--target", str(target), *map(str, packages)]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    sources = [shutil.copytree(HERE / name, folder / "sources" / name) for name in PACKAGES]
    pip_install(folder / "packages", *sources)
    return folder / "packages"


@pytest.fixture
def bench(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Call bench in this process as if the packages, or changed copies of them, were installed."""

    def call(*arguments: str, site: Path = target, **variables: str) -> Done:
        forget()
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(site))
            for name, value in variables.items():
                patched.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main(arguments)
        forget()
        printed = capsys.readouterr()
        return Done(int(left.value.code or 0), printed.out, printed.err)

    monkeypatch.chdir(tmp_path)
    Path("acme.toml").write_text(SUITE)
    return call


def forget() -> None:
    """Make the next import read the packages again, from wherever they then are."""
    for module in MODULES:
        sys.modules.pop(module, None)


@pytest.fixture
def changed(target: Path, tmp_path: Path) -> Callable[[str, str, str], Path]:
    """Return a copy of the installed packages with one change in the code of one."""

    def change(module: str, old: str, new: str) -> Path:
        site = tmp_path / "changed"
        shutil.copytree(target, site, ignore=shutil.ignore_patterns("__pycache__"))
        file = site / module / "__init__.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        return site

    return change


def test_they_are_found_with_version_options_and_digest(bench: Bench) -> None:
    listed = json.loads(bench("plugins", "--json").stdout)["offers"]
    topk, flips = (next(entry for entry in listed if entry["name"] == name) for name in ("acme_topk", "acme_flips"))
    assert (topk["package"], topk["version"], len(topk["source"])) == ("acme-topk", "1.2.0", 64)
    assert [(entry["name"], entry["default"]) for entry in topk["options"]] == [("share", 0.5)]
    assert (flips["kind"], flips["version"]) == ("metrics", "0.3.1")


@pytest.mark.parametrize(
    ("package", "passed"), [("acme-topk", "23 passed"), ("acme_flips", "11 passed"), ("acme-part", "23 passed")]
)
def test_they_keep_every_rule(bench: Bench, package: str, passed: str) -> None:
    done = bench("check", package)
    assert done.returncode == 0, done.stdout
    assert passed in done.stdout


def test_they_run_in_a_suite_by_worker_processes(target: Path, tmp_path: Path) -> None:
    """The command line and its worker are new processes, to which nothing is known but the path."""
    (tmp_path / "acme.toml").write_text(SUITE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench_core.cli", "run", "acme.toml", "--format", "json", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "TopK" in done.stdout
    record = (tmp_path / "results" / "acme" / "embedded" / "run.json").read_text()
    assert "acme-topk" in record, "the record names the package and its version"


def test_a_part_of_a_third_party_combines_with_those_of_bench(bench: Bench, tmp_path: Path) -> None:
    done = bench("run", "acme.toml", "--executor", "inline", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "Part+MI" in done.stdout
    Path("acme.toml").write_text(SUITE.replace("keep = 0.25", "keep = 1"))
    refused = bench("plan", "acme.toml")
    assert refused.returncode == 2
    assert "attacks.Part+MI.keep" in refused.stderr or 'attacks."Part+MI".keep' in refused.stderr
    Path("acme.toml").write_text(SUITE.replace('["acme_part", "mi"]', '["acme_part", "acme_topk"]'))
    refused = bench("plan", "acme.toml")
    assert "these attacks cannot be combined: acme_part, acme_topk" in refused.stderr


def test_a_publisher_of_a_third_party_gets_a_run_with_intervals(bench: Bench, tmp_path: Path) -> None:
    assert bench("run", "acme.toml", "--executor", "inline").returncode == 0
    folder = "results/acme/embedded"
    done = bench("publish", folder, "--to", "acme_notes", "--set", "file=my.txt")
    assert (done.returncode, done.stderr) == (0, "bench: published to my.txt\n")
    first, *values = Path("my.txt").read_text().splitlines()
    assert first == "acme embedded, 6 images"
    pattern = r"main/(PGD|TopK|Part\+MI)/VGG: [\d.]+ \[[\d.]+, [\d.]+\], N = 6"
    assert len(values) == 3
    assert all(re.fullmatch(pattern, line.replace("%", "")) for line in values), values
    refused = bench("publish", folder, "--to", "acme_notes", "--set", "file=.")
    assert (refused.returncode, refused.stderr) == (2, "bench: --set: file: . is a folder\n")


def test_third_parties_import_only_what_is_public() -> None:
    page = (HERE.parents[1] / "docs" / "plugins.md").read_text()
    public = set(re.findall(r"^\| `((?:bench_core|bench_attacks)\.\w+)` \|", page, flags=re.MULTILINE))
    for name in MODULES:
        (file,) = HERE.rglob(f"{name}/__init__.py")
        nodes = ast.walk(ast.parse(file.read_text()))
        imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        assert {module for module in imported if module.startswith("bench_")} <= public, name


def test_a_blocked_plugin_is_named_where_it_is_missing(bench: Bench) -> None:
    done = bench("run", "acme.toml", BENCH_BLOCK_PLUGINS="acme_topk")
    assert done.returncode == 2
    assert 'acme.toml: attacks.TopK.recipe: unknown attack "acme_topk"' in done.stderr
    assert "plugin acme_topk is unavailable: blocked" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("BENCH_API_VERSION = 1", "BENCH_API_VERSION = 2", "made for plugin API 2, this host has 1"),
        ("BENCH_API_VERSION = 1", "BENCH_API_VERSION = 0", "made for plugin API 0, this host supports 1 to 1"),
        ("BENCH_API_VERSION = 1", "import acme_base", "No module named 'acme_base'"),
        ("def bench_attacks", "def bench_atacks", "bench_atacks"),
    ],
)
def test_a_broken_plugin_breaks_nothing_else(
    changed, monkeypatch: pytest.MonkeyPatch, old: str, new: str, reason: str
) -> None:
    monkeypatch.syspath_prepend(str(changed("acme_topk", old, new)))
    forget()
    registry = discover()
    (broken,) = [each for each in registry.unavailable if each.plugin == "acme_topk"]
    assert reason in broken.reason
    assert ("metrics", "acme_flips") in registry.offers
    assert ("attacks", "pgd") in registry.offers
    with pytest.raises(UsageError, match="acme_topk: unavailable: "):
        offers(registry, "acme-topk")
    forget()


def test_an_attack_that_leaves_the_ball_is_caught_by_the_kit_and_void_in_a_run(bench: Bench, changed) -> None:
    site = changed("acme_topk", "budget.step_size * gradient.sign() * chosen).clamp(low, high)", "gradient.sign())")
    done = bench("check", "acme_topk", "--rule", "contract", site=site)
    assert done.returncode == 1
    assert "FAILED attack acme_topk (linf)::contract - images outside [0, 1]" in done.stdout
    assert "docs/plugins.md#attacks-contract" in done.stdout
    run = bench("run", "acme.toml", "--executor", "inline", site=site)
    assert run.returncode == 3
    assert "void: images outside [0, 1]" in run.stderr


def test_a_metric_of_the_whole_batch_is_caught(bench: Bench, changed) -> None:
    site = changed(
        "acme_flips", "answer = target(step.images).argmax(1)", "answer = target(step.images).argmax(1).sort().values"
    )
    done = bench("check", "acme-flips", site=site)
    assert done.returncode == 1
    assert "::shard_independence - " in done.stdout
