"""An idea is one file under `parts/`: found by itself, and no other attack's results depend on it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bench_attacks
from bench_attacks.plugin import RECIPES

ROOT = Path(__file__).parents[2]
NEW = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)[0]
CODES = """
import json
from bench_core.registry import discover
registry = discover()
print(json.dumps({name: offer.code for (kind, name), offer in registry.offers.items() if kind == "attacks"}
    | {"mi+vr": registry.compose(["mi", "vr"], "", "").code, "ir+ti": registry.compose(["ir", "ti"], "", "").code}))
"""


def importers(module: str) -> set[str]:
    """Return the parts whose files import a module of the package, which an edit of it therefore makes stale."""
    files = (Path(bench_attacks.__path__[0]) / "parts").glob("*.py")
    names = {path.stem for path in files if re.search(rf"^from \.+{module} import", path.read_text(), re.MULTILINE)}
    return names & set(RECIPES)


WITH_MOMENTUM, TAPPED = importers("mi"), importers("taps") | importers("rewiring") | importers("branches")


def run_python(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, env=os.environ)


def copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the package to a folder, whence new processes import it."""
    package = folder / "copy" / "bench_attacks"
    shutil.copytree(Path(bench_attacks.__path__[0]), package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "copy"), *filter(None, sys.path)]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("BENCH_BLOCK_PLUGINS", "metrics,models,timm,robustbench")
    return package


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, imported in its place by new processes."""
    return copied(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of an unchanged copy."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        copied(tmp_path_factory.mktemp("unchanged"), monkeypatch)
        return codes()


def codes() -> dict[str, str]:
    process = run_python(CODES)
    assert not process.returncode, process.stderr
    digests: dict[str, str] = json.loads(process.stdout)
    return digests


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_new_file_is_found_and_changes_no_other_digest(package: Path, before: dict[str, str]) -> None:
    (package / "parts" / "noisy.py").write_text(NEW)
    after = codes()
    assert set(after) - set(before) == {"noisy"}
    assert not changed(before, after)


def test_the_documented_part_keeps_every_rule(package: Path) -> None:
    (package / "parts" / "noisy.py").write_text(NEW)
    process = subprocess.run(
        [sys.executable, "-m", "bench_core.cli", "check", "noisy"], capture_output=True, text=True, check=False
    )
    assert not process.returncode, process.stdout + process.stderr


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("parts/mi.py", {"mi", "hybrid_ir", "pna_patchout", "mi+vr"} | WITH_MOMENTUM),
        ("parts/ir.py", {"ir", "sgm_ir", "ti_ir", "hybrid_ir", "interaction_only", "ir+ti"}),
        ("branches.py", {"sgm", "sgm_ir", "hybrid_ir"} | TAPPED),
        ("parts/recover.py", {"recover"}),
        ("parts/hybrid_ir.py", set()),
        ("plugin.py", set()),
    ],
)
def test_an_edit_makes_stale_what_has_the_part_and_nothing_else(
    package: Path, before: dict[str, str], file: str, stale: set[str]
) -> None:
    with (package / file).open("a") as edited:
        edited.write("\nEDITED = True\n")
    assert changed(before, codes()) == stale


def test_the_loop_is_in_the_digest_of_every_gradient_attack(package: Path, before: dict[str, str]) -> None:
    with (package / "evaluation.py").open("a") as edited:
        edited.write("\nEDITED = True\n")
    others = {name for name in before if ":" in name} | {"autoattack", "noise", "gaussian"}
    others |= {"ddn", "fmn", "deepfool"}  # searches, which have no loop; others take types of options from `compose`
    others |= {"square", "simba", "gfcs"}  # attacks by queries
    assert changed(before, codes()) == set(before) - others


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\n", "RECIPE: found none (try RECIPE = recipe(PART))"),
        ("RECIPE = 5\n", "RECIPE: found 5 (try RECIPE = recipe(PART))"),
        ("import nowhere_to_be_found\n", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(7)\n", "cannot be imported: SystemExit"),
    ],
)
def test_a_file_without_a_recipe_is_one_line_and_hides_no_other(package: Path, text: str, found: str) -> None:
    (package / "parts" / "mine.py").write_text(text)
    command = "from bench_core.cli import main; import sys; sys.argv = ['bench', 'plugins', *{}]; main()"
    named = run_python(command.format(["attacks", "mine"]))
    assert named.returncode == 2
    assert "bench_attacks.parts.mine" in named.stderr
    assert found in named.stderr
    assert "Traceback" not in named.stderr
    listed = run_python(command.format(["attacks"]))
    assert listed.returncode == 0
    assert "\n  mi " in listed.stdout
    (line,) = [
        line for line in listed.stdout.splitlines() if line.startswith("unavailable: mine (adversarial-bench): ")
    ]
    assert found in line


IMPORTED = """
import atexit, sys
from bench_core.cli import main
parts = "bench_attacks.parts."
atexit.register(lambda: print(sorted(name[len(parts):] for name in sys.modules if name.startswith(parts))))
sys.argv = ["bench", "plan", "transfer_table1"]
main()
"""


def test_only_attacks_that_a_suite_uses_are_imported() -> None:
    assert run_python(IMPORTED).stdout.splitlines()[-1] == "['ir', 'pgd']"
