"""The example of docs/images.md works: exported images have the outcomes of the run, and are marked as given."""

import re
import shlex
from pathlib import Path

import pytest

from bench_core.cli import app, guard

PAGE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(block("toml"))
    printed = []
    for line in block("sh").splitlines():
        words = shlex.split(line)[1:]
        assert guard(lambda words=words: app(words, prog_name="bench", standalone_mode=False), False) == 0  # type: ignore[misc]
        printed.append(capsys.readouterr().out)
    ran, exported, judged, *_ = printed
    assert (tmp_path / "results/small/embedded/report.html").is_file()
    assert list(tmp_path.glob("best/VGG/PGD/linf/*/*.png"))
    assert exported == ""
    (ours,) = (line.split()[-3:] for line in ran.splitlines() if "MI  " in line)
    (theirs,) = (line.split()[-3:] for line in judged.splitlines() if "MI  " in line)
    assert ours == theirs
    assert block("text").strip() in judged
