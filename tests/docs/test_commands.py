"""Every command in the documentation runs, or the page says why the tests do not run it; all of them are well formed.

A block of shell commands runs as written, in a folder of its page with the suites that the page names. Three programs
are stand-ins: `bench` makes the largest suite small, `pip` installs a local package without the network, and `pdoc` is
that of this environment.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bench_core.cli import COMMANDS, app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))  # .ci/run runs the README's
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>sh|console|bash|shell)\n(?P<code>.*?)^```", re.M | re.S
)
NAMED = re.compile(r"^Save this as `(\S+\.toml)`:\n\n```toml\n(.*?)^```", re.M | re.S)
NOT_RUN = "not run here: "
STAND_INS = {
    "bench": "#!/bin/sh\n"
    'case "$*" in *--profile*) ;; run\\ transfer_table1*|plan\\ transfer_table1*) set -- "$@" '
    """--set 'sources=["VGG"]' --set 'targets=["ResNet-L"]' --set 'images.models=["VGG"]' --set attacks.IR.samples=1 """
    "--set budgets.linf.steps=3 --set budgets.l2.steps=3;; esac\n"
    'case "$1 $2" in run\\ transfer_table1) set -- "$@" --limit 5;; esac\n'
    'case "$1" in run) set -- "$@" --executor inline;; esac\n'
    f'exec "{sys.executable}" -m bench_core.cli "$@"\n',
    "pip": '#!/bin/sh\nfor last; do :; done\nlast="${last%%[*}"\n'
    f'exec "{sys.executable}" -m pip install --quiet --no-deps --no-build-isolation --target "$INSTALLED" "$last"\n',
    "pdoc": f'#!/bin/sh\nexec "{sys.executable}" -m pdoc "$@"\n',
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the mark before each block of shell commands, or "", and its text."""
    return [(found["mark"] or "", found["code"]) for found in BLOCK.finditer(page.read_text())]


def commands(code: str) -> Iterator[list[str]]:
    """Yield the words of each command that calls bench."""
    text = ""
    for line in code.replace("\\\n", " ").splitlines():
        text += line
        try:
            words = shlex.split(text, comments=True)
        except ValueError:  # a quotation goes on in the next line
            text += "\n"
            continue
        text = ""
        while "bench" in words:
            words = words[words.index("bench") + 1 :]
            end = next((place for place, word in enumerate(words) if word in ("&&", "||", "|", ";", "&")), len(words))
            yield words[:end]


RUN = [page for page in PAGES if any(not mark.startswith(NOT_RUN) for mark, _ in blocks(page))]
CALLS = [
    (page.name, words) for page in (*PAGES, ROOT / "README.md") for _, code in blocks(page) for words in commands(code)
]


@pytest.mark.parametrize(
    ("page", "words"), CALLS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_command_has_options_that_exist(page: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    rest = list(words)
    context = command.make_context("bench", rest[:0] or ["plan"], resilient_parsing=True)
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, f"{page}: {' '.join(words)}"  # type: ignore[attr-defined]
        command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
    command.make_context("bench", rest, parent=context)  # raises for an unknown option or a missing argument


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    for mark, _ in blocks(page):
        if mark.startswith(NOT_RUN):
            assert len(mark.removeprefix(NOT_RUN)) > 8
            for name in re.findall(r"tests/[\w/.]+", mark):
                assert (ROOT / name).exists(), name


def test_every_command_of_bench_is_on_the_page_of_commands() -> None:
    listed = set(re.findall(r"^\| `bench (\w+(?:-\w+)*)", (ROOT / "docs" / "commands.md").read_text(), flags=re.M))
    assert listed == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    programs, installed = tmp_path / "programs", tmp_path / "installed"
    programs.mkdir()
    for name, text in STAND_INS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o700 | stat.S_IXUSR)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in NAMED.findall(page.read_text()):
        (folder / name).write_text(text)
    paths = os.pathsep.join([str(installed), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    environment = {**os.environ, "INSTALLED": str(installed), "PYTHONPATH": paths}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    for mark, code in blocks(page):
        if not mark.startswith(NOT_RUN):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", code], cwd=folder, env=environment, check=False,
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
