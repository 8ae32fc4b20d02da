"""Verifying a submission runs no code of its author, also where the working folder is a checkout of theirs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core.cli import app
from bench_core.errors import UsageError
from bench_core.executors.local import start_worker, wait_until_ready
from bench_core.submissions.contents import read_contents
from bench_core.submissions.unpack import unpacked


def edited(folder: Path, change: Callable[[dict], object]) -> Path:
    path = folder / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    return folder


PLACES = {
    "models.A": lambda suite, text: suite["models"]["A"].update(recipe="python", file=text),
    "models.B": lambda suite, text: suite["models"]["B"].update(recipe="ensemble", members=[{"file": text}]),
    "attacks.PGD": lambda suite, text: suite["attacks"]["PGD"].update(by_source={"A": {"file": text}}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["submissions/net.py:build", "net.py", "NET.PY:build", "net.py:größe"])
def test_a_python_file_of_the_working_folder_is_refused(folder: Path, place: str, text: str) -> None:
    with unpacked(edited(folder, lambda record: PLACES[place](record["suite"], text))) as opened:
        with pytest.raises(UsageError) as caught:
            read_contents(opened)
        (fault,) = caught.value.faults
        assert fault.key == f"suite.{place}"
        assert "names code that would run here" in fault.message
        read_contents(opened, computes=False)  # to check it, no network is built
        read_contents(opened, trust_paths=True)


def test_options_for_a_source_name_no_place_either(folder: Path) -> None:
    change = lambda record: PLACES["attacks.PGD"](record["suite"], "/etc/passwd")  # noqa: E731
    with unpacked(edited(folder, change)) as opened, pytest.raises(UsageError, match="outside the working folder"):
        read_contents(opened)


def test_workers_import_nothing_from_the_working_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout of a pull request may have a `safetensors.py`."""
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "safetensors.py").write_text("raise SystemExit('code of the submission ran')")
    monkeypatch.chdir(place)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    started = []

    def worker_alone(*_arguments: object) -> None:
        process = start_worker(1)
        try:
            wait_until_ready(process)
            started.append(dict(os.environ))
        finally:
            process.kill()
            process.communicate()
        raise UsageError

    monkeypatch.setattr("bench_core.run_suite.make_executor", worker_alone)
    with pytest.raises(UsageError):
        app(["verify", str(folder)], prog_name="bench", standalone_mode=False)
    assert len(started) == 1
    assert "PYTHONSAFEPATH" not in os.environ
