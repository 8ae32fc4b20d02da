"""Submissions that attack their reader: one line for each fault, and nothing is written outside."""

import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.runs.load import load_result
from bench_core.submissions import contents as contents_module
from bench_core.submissions import unpack as unpack_module
from bench_core.submissions.archive import wrong_path

from .conftest import changed_rows

FILES = ("run.json", "rows.safetensors", "scores.jsonl")


def zipped(folder: Path, to: Path, top: str = "toy/", extra: Callable[[zipfile.ZipFile], None] | None = None) -> Path:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, top + path.relative_to(folder).as_posix())
        if extra:
            extra(file)
    return to


def edited(folder: Path, change: Callable[[dict], object]) -> Path:
    path = folder / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    return folder


def everything(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, so that a test sees everything that is written."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.mark.parametrize("top", ["", "toy/", "results/toy/"])
def test_a_run_and_its_zip_are_valid(folder: Path, tmp_path: Path, faults_of, top: str) -> None:
    assert faults_of(folder) == []
    assert faults_of(zipped(folder, tmp_path / "run.zip", top)) == []


def member(name: str, mode: int = 0, content: str = "x") -> Callable[[zipfile.ZipFile], None]:
    def write(file: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        info.external_attr = mode << 16
        file.writestr(info, content)

    return write


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("../../escaped", 0, "leads out of the folder"),
        ("toy/../../escaped", 0, "leads out of the folder"),
        ("/escaped", 0, "leads out of the folder"),
        ("toy\\..\\escaped", 0, "leads out of the folder"),
        ("C:/escaped", 0, "leads out of the folder"),
        ("toy/a\nb", 0, "no run has"),
        ("toy/\u202egnp.exe", 0, "no run has"),
        ("toy//a", 0, "no run has"),
        ("toy/" + "a" * 300, 0, "no run has"),
        ("toy/published/x.csv", stat.S_IFLNK | 0o777, "is a link"),
        ("toy/pipe", stat.S_IFIFO | 0o777, "not a plain file"),
        ("TOY/RUN.JSON", 0, "is there twice"),
    ],
)
def test_a_wrong_entry_of_a_zip_is_one_line(folder, tmp_path, faults_of, alone, name, mode, said) -> None:
    path = zipped(folder, tmp_path / "run.zip", extra=member(name, mode, "/etc/passwd"))
    before = everything(tmp_path)
    (fault,) = faults_of(path)
    assert said in fault
    assert "\n" not in fault
    assert len(fault) < 600
    after = everything(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} <= {str(alone)}
    assert not (tmp_path.parent / "escaped").exists()


@settings(max_examples=300)
@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "a", "", "C:", "\\", "\x00"])).map("/".join))
def test_a_path_that_is_accepted_stays_below_the_folder(name: str) -> None:
    if not wrong_path(name):
        target = os.path.normpath(f"/top/folder/{name}")
        assert target.startswith("/top/folder/")
        assert name.isprintable()


def test_a_zip_bomb_stops_before_it_is_written(folder, tmp_path, faults_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_module, "SMALL", 2**20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in FILES:
            file.writestr(name, bytes(8 * 2**20))
    (fault,) = faults_of(path)
    assert "as a zip bomb does" in fault
    assert path.stat().st_size < 2**16


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_too_large_is_one_line(folder, tmp_path, faults_of, monkeypatch, packed: bool) -> None:
    monkeypatch.setitem(unpack_module.LARGEST, "scores.jsonl", 2**20)
    (folder / "scores.jsonl").write_bytes(os.urandom(2**20 + 1))
    (fault,) = faults_of(zipped(folder, tmp_path / "run.zip") if packed else folder)
    assert "scores.jsonl: is larger than 1 MiB" in fault


def test_a_zip_that_states_a_smaller_size_is_damaged(folder, tmp_path, faults_of) -> None:
    path = zipped(folder, tmp_path / "run.zip")
    with zipfile.ZipFile(path) as file:
        size = file.getinfo("toy/rows.safetensors").file_size
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", size), struct.pack("<L", 10)))
    (fault,) = faults_of(path)
    assert "cannot unzip" in fault or "cannot read the rows" in fault or "damaged" in fault


def test_many_files_are_one_line(folder, tmp_path, faults_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_module, "MOST_FILES", 20)

    def many(file: zipfile.ZipFile) -> None:
        for number in range(30):
            file.writestr(f"toy/x/{number}", "")

    (fault,) = faults_of(zipped(folder, tmp_path / "run.zip", extra=many))
    assert "has more than 20 files" in fault
    (folder / "x").mkdir()
    for number in range(30):
        (folder / "x" / str(number)).touch()
    (fault,) = faults_of(folder)
    assert "has more than 20 files" in fault


def test_a_list_of_files_that_would_fill_the_memory_is_not_read(folder, tmp_path, faults_of) -> None:
    path = zipped(folder, tmp_path / "run.zip")
    data = bytearray(path.read_bytes())
    data[-10:-6] = struct.pack("<L", 2**30)
    path.write_bytes(data)
    (fault,) = faults_of(path)
    assert "list of too many files" in fault


def test_links_and_pipes_in_a_folder_are_one_line(folder: Path, tmp_path: Path, faults_of) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "published").mkdir(exist_ok=True)
    (folder / "published" / "x.csv").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    assert [fault.rpartition(": ")[2] for fault in faults_of(folder)] == ["is not a plain file", "is a link"]


def test_missing_files_and_no_zip_are_one_line(folder: Path, tmp_path: Path, faults_of) -> None:
    (folder / "scores.jsonl").unlink()
    assert faults_of(folder) == [f"{folder}: scores.jsonl: is missing"]
    (tmp_path / "text.zip").write_text("no zip")
    assert "neither a folder nor a zip" in faults_of(tmp_path / "text.zip")[0]
    assert "no such file" in faults_of(tmp_path / "nowhere")[0]
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
        file.writestr("a/run.json", "{}")
        file.writestr("b/run.json", "{}")
    assert "several times" in faults_of(tmp_path / "two.zip")[0]


DEEP = '{"suite":' + "[" * 200_000
MUCH = "9" * 10_000


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", DEEP, MUCH, '{"format": 1, "suite": 3}', "\ud800", "NaN"])
def test_a_record_that_is_none_is_one_line(folder: Path, faults_of, text: str) -> None:
    (folder / "run.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    (fault,) = faults_of(folder)
    assert "\n" not in fault
    assert len(fault) < 700


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["suite"].update(title="<script>alert(1)</script>"), "has markup in a name"),
        (lambda r: r["suite"].update(name="a\nb"), "no page can show"),
        (lambda r: r["suite"]["attacks"].update({"<img src=x>": {"recipe": "pgd"}}), "has markup in a name"),
        (lambda r: r["suite"]["models"]["A"].update(recipe="checkpoint", file="/etc/passwd"), "outside the working"),
        (lambda r: r["suite"]["models"]["A"].update(recipe="checkpoint", file="a/../../x"), "outside the working"),
        (lambda r: r["suite"]["data"].update(root="/"), "outside the working folder"),
        (lambda r: r["images"].update(digest="0" * 64), "is not that of the list"),
        (lambda r: r["images"]["indices"].__setitem__(0, -1), "outside the dataset"),
        (lambda r: r["images"]["indices"].__setitem__(0, 10**9), "outside the dataset"),
        (lambda r: r["truth"].pop(), "numbers of ids, indices and classes differ"),
        (lambda r: r["environment"].update(threads="many"), "damaged"),
        (lambda r: r["environment"].pop("dtype"), "damaged"),
        (lambda r: r["suite"].update(sources=[f"{i}" for i in range(300_000)]), "combinations of labels"),
        (lambda r: r["suite"]["attacks"].update(PGD={"recipe": "unheard"}), "unheard"),
        (lambda r: r["suite"]["attacks"]["PGD"].update(category="<b>"), "suite.attacks: has markup or control"),
        (lambda r: r["suite"]["tables"][0].update(title="\x1b[2J"), "suite.tables: has a name that no page can show"),
        (lambda r: r.update(notes=["fine", "\x1b]0;title\x07"]), "notes: has a text that no page can show"),
        (lambda r: r.update(warnings=["long" * 10_000]), "warnings: has a text that no page can show"),
        (lambda r: r["environment"].update(device="\x1b[2J"), "environment: has a text that no page can show"),
        (lambda r: r["environment"].update(threads=float("inf")), "environment: damaged"),
        (lambda r: r.update(reproduce="rm -rf /"), "reproduce: is no command of bench: rm -rf /"),
        (lambda r: r.update(reproduce="bench run x; rm -rf /"), "reproduce: is no command of bench"),
        (lambda r: r.update(reproduce="bench run $(rm -rf /)"), "reproduce: is no command of bench"),
        (lambda r: r.update(reproduce="bench run 'x"), "reproduce: is no command of bench"),
        (lambda r: r.update(limit=-3), "limit: found -3, but 12 images were attacked"),
        (lambda r: r["images"].update(planned=-1), "images.planned: found -1, but 12 images were attacked"),
        (lambda r: r["dataset"].update(count=10**30), "dataset.count: found 1"),
    ],
)
def test_a_wrong_record_says_what_is_wrong(folder: Path, faults_of, change, said: str) -> None:
    faults = faults_of(edited(folder, change))
    assert any(said in fault for fault in faults)
    assert all("\n" not in fault and len(fault) < 700 for fault in faults)
    assert len(faults) <= 21


def test_incomplete_cells_and_values_of_no_image_are_named(folder: Path, faults_of) -> None:
    with changed_rows(folder) as rows:
        gone = next(row for row in rows if row.metric == "transfer")
        rows.remove(gone)
    (fault,) = faults_of(folder)
    assert "incomplete: no values of transfer source=" in fault
    with changed_rows(folder) as rows:
        rows[-1].arrays.update({name: np.repeat(array, 3, 0) for name, array in rows[-1].arrays.items()})
    assert "images that the run lacks" in faults_of(folder)[0]


def test_millions_of_rows_are_one_line(folder: Path, faults_of, monkeypatch: pytest.MonkeyPatch) -> None:
    with changed_rows(folder) as rows:
        rows.extend([rows[0]] * 5000)
    (fault,) = faults_of(folder)
    assert "sets of rows, but the suite gives at most" in fault
    monkeypatch.setattr(contents_module, "LARGEST_HEADER", 1000)
    (fault,) = faults_of(folder)
    assert "list of arrays is larger" in fault


def test_a_record_that_is_nested_too_deep_is_one_line_for_all_commands(folder: Path, registry) -> None:
    (folder / "run.json").write_text(DEEP)
    with pytest.raises(UsageError, match="not the record of a run"):
        load_result(folder, registry)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_bytes_change_each_fault_is_one_line(folder: Path, tmp_path: Path, faults_of, data) -> None:
    """Fuzzing: a few bytes of one of the files, or of the zip, are replaced, or its end is cut off."""
    name = data.draw(st.sampled_from([*FILES, "zip"]))
    path = folder / name if name != "zip" else zipped(folder, tmp_path / "fuzzed.zip")
    original = path.read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), 6000) - 1) | st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(min_size=0, max_size=3))
    content = content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
    path.write_bytes(content)
    try:
        faults = faults_of(folder if name != "zip" else path)
    finally:
        path.write_bytes(original)
    assert all("\n" not in fault and len(fault) < 700 for fault in faults)
    assert len(faults) <= 40


def test_the_command_says_valid_or_why_not(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def bench(*arguments: str) -> tuple[int, str, str]:
        code = guard(lambda: app(list(arguments), prog_name="bench", standalone_mode=False), False)
        said = capsys.readouterr()
        return code, said.out, said.err

    code, _, error = bench("submit-check", str(tmp_path / "nowhere"))
    assert (code, error) == (2, f"bench: {tmp_path}/nowhere: there is no such file or folder\n")
    (tmp_path / "text.zip").write_text("no zip")
    code, _, error = bench("submit-check", str(tmp_path / "text.zip"))
    assert (code, error) == (1, f"bench: {tmp_path}/text.zip: neither a folder nor a zip file\n")
    code, _, error = bench("verify", str(tmp_path / "nowhere"))
    assert code == 2
