"""What is exported: the images of the run, safely named, with equal bytes, and only what is asked for."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench_core.errors import Interrupted, UsageError
from bench_core.executors.inline import Inline
from bench_core.exports.files import file_names, npz_bytes
from bench_core.exports.groups import Request
from bench_core.registry import Registry
from bench_core.reserved import KEPT
from bench_core.store import Store
from bench_core.worker.attack_run import AttackRun

from .small import COUNT, L2, LINF, PGD, EightBit, export_small, run_small, write_suite


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "labels.csv").open(newline="")))


def levels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def count_attacks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    original = Inline.run

    def counted(self, tasks):
        for outcome in original(self, tasks):
            done.append(outcome.address)
            yield outcome

    monkeypatch.setattr(Inline, "run", counted)
    return done


def test_png_files_hold_the_images_and_the_list_says_what_they_are(registry: Registry, tmp_path: Path) -> None:
    result = run_small(write_suite(tmp_path), registry, tmp_path / "out")
    exported = export_small(result.folder, tmp_path / "to", registry, Request(attacks=("PGD",)))
    assert [group.folder for group in exported.groups] == ["A/PGD/linf/last"]
    data, rows = EightBit(), listed(tmp_path / "to")
    assert [row["clean_sha256"] for row in rows] == list(data.ids)
    assert [int(row["label"]) for row in rows] == list(data.labels)
    assert {(row["source"], row["attack"], row["budget"], row["step"]) for row in rows} == {
        ("A", "PGD", "linf", "last")
    }
    sizes = result.arrays("attack", attack="PGD")["linf"]
    for index, row in enumerate(rows):
        adversarial = levels(tmp_path / "to" / row["folder"] / row["filename"])
        clean = levels(tmp_path / "to" / "images" / row["filename"])
        assert np.array_equal(clean, np.rint(255 * data.pixels[index][0]))
        assert np.abs(adversarial.astype(int) - clean).max() == round(255 * sizes[index])
    first = list(csv.DictReader((tmp_path / "to" / "images.csv").open(newline="")))
    assert [int(row["TrueLabel"]) - 1 for row in first] == list(data.labels)  # counted from 1, as in the competition


def test_two_exports_are_equal_and_an_export_that_was_stopped_goes_on(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_small(write_suite(tmp_path), registry, tmp_path / "out").folder
    original, seen = Inline.run, []

    def stopping(self, tasks):
        for outcome in original(self, tasks):
            yield outcome
            seen.append(outcome.address)
            raise KeyboardInterrupt

    monkeypatch.setattr(Inline, "run", stopping)
    with pytest.raises(Interrupted):
        export_small(folder, tmp_path / "one", registry)
    assert not (tmp_path / "one").exists()
    monkeypatch.setattr(Inline, "run", original)
    done = count_attacks(monkeypatch)
    export_small(folder, tmp_path / "one", registry)
    assert seen
    assert not set(seen) & set(done), "an attack was run again"
    before = content(tmp_path / "one")
    for name in ("labels.csv", "A/PGD/linf/last/00003.png"):
        (tmp_path / "one" / name).unlink()
    export_small(folder, tmp_path / "one", registry)
    export_small(folder, tmp_path / "two", registry)
    assert content(tmp_path / "one") == content(tmp_path / "two") == before


def test_kept_images_are_not_computed_again(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    path = write_suite(tmp_path, LINF + PGD + "[keep]\nimages = 4\n")
    result = run_small(path, registry, tmp_path / "out")
    assert KEPT not in {row.metric for row in result.rows}
    done = count_attacks(monkeypatch)
    export_small(result.folder, tmp_path / "four", registry, Request(images=4))
    assert not done
    export_small(result.folder, tmp_path / "six", registry)
    assert len(done) == 2  # the second micro-batch of both attacks
    (tmp_path / "plain").mkdir()
    plain = write_suite(tmp_path / "plain")
    other = run_small(plain, registry, tmp_path / "other")
    export_small(other.folder, tmp_path / "again", registry)
    without = {name: data for name, data in content(tmp_path / "again").items() if name != "export.json"}
    assert without == {name: data for name, data in content(tmp_path / "six").items() if name != "export.json"}


def test_a_run_does_not_read_the_images_that_it_keeps(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    path = write_suite(tmp_path, LINF + PGD + '[keep]\nimages = 6\nsteps = [2, "last"]\n')
    run_small(path, registry, tmp_path / "out")
    original, largest = Store.get, []

    def noted(self, address, cells=None):
        found = original(self, address, cells)
        largest.append(max((array.nbytes for rows in found.values() for array in rows.values()), default=0))
        return found

    monkeypatch.setattr(Store, "get", noted)
    done = count_attacks(monkeypatch)
    assert run_small(path, registry, tmp_path / "out").complete
    assert not done
    assert max(largest) < 4 * 36  # bytes of the images of a micro-batch as levels


@pytest.mark.parametrize("text", ["1", "best", "last"])
def test_the_images_of_a_step_are_those_after_it(text: str, registry: Registry, tmp_path: Path) -> None:
    result = run_small(write_suite(tmp_path), registry, tmp_path / "out")
    exported = export_small(result.folder, tmp_path / "to", registry, Request(attacks=("MI",), steps=(text,)))
    (step,) = {group.step for group in exported.groups}
    fooled = result.arrays("transfer", attack="MI", target="B")["fooled"]
    best = int(fooled.mean(axis=0).argmax()) + 1
    assert step == {"1": 1, "best": "last" if best == 3 else best, "last": "last"}[text]
    short = write_suite(tmp_path, LINF.replace("steps = 3", f"steps = {3 if step == 'last' else step}") + PGD)
    shorter = run_small(short, registry, tmp_path / "short")
    export_small(shorter.folder, tmp_path / "short_images", registry, Request(attacks=("MI",)))
    mine = [row["sha256"] for row in listed(tmp_path / "to")]
    assert mine == [row["sha256"] for row in listed(tmp_path / "short_images")]


def test_images_that_the_run_did_not_round_are_rounded_inside_the_ball(registry: Registry, tmp_path: Path) -> None:
    unrounded = lambda text: text.replace("quantise = true", "quantise = false")  # noqa: E731
    path = write_suite(tmp_path, LINF + L2 + PGD, change=unrounded)
    result = run_small(path, registry, tmp_path / "out")
    exported = export_small(result.folder, tmp_path / "png", registry)
    assert any("rounded to 8 bits inside the ball" in note for note in exported.notes)
    data = EightBit().pixels
    for index, row in [(place % COUNT, row) for place, row in enumerate(listed(tmp_path / "png"))]:
        delta = levels(tmp_path / "png" / row["folder"] / row["filename"]) / 255 - data[index][0]
        size = np.abs(delta).max() if row["norm"] == "linf" else np.linalg.norm(delta)
        assert size <= float(row["eps"]) + 1e-5
    exported = export_small(result.folder, tmp_path / "npz", registry, Request(npz=True))
    assert not exported.notes
    kept = np.load(tmp_path / "npz" / "A" / "PGD" / "l2" / "last.npz")
    assert kept["images"].dtype == np.float32
    found = np.linalg.norm((kept["images"] - data).reshape(COUNT, -1), axis=1)
    assert np.allclose(found, result.arrays("attack", attack="PGD", budget="l2")["l2"], atol=1e-6)


def test_a_moved_run_is_attacked_again_and_a_difference_is_stated(
    registry: Registry, tmp_path: Path, monkeypatch
) -> None:
    folder = run_small(write_suite(tmp_path), registry, tmp_path / "out").folder
    shutil.move(folder, tmp_path / "moved")
    request = Request(attacks=("PGD",))
    assert not export_small(tmp_path / "moved", tmp_path / "same", registry, request).notes
    record = tmp_path / "moved" / "run.json"
    record.write_text(record.read_text().replace('"recipe": "pgd"', '"recipe": "mi"'))
    notes = export_small(tmp_path / "moved", tmp_path / "other", registry, request).notes
    assert any("differ from those that the run judged" in note for note in notes)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(attacks=("PDG",)), r'--attack: unknown name "PDG" \(did you mean "PGD"\?\)'),
        (Request(sources=("Z",)), "--source: unknown name"),
        (Request(budgets=("l2",)), "--budget: unknown name"),
        (Request(steps=("first",)), r"--step: found \"first\" \(try last, best, or a number from 1\)"),
        (Request(steps=("9",)), r"--step: found 9, but \w+ on A has 3 steps"),
    ],
)
def test_a_wrong_request_is_one_line(request_: Request, message: str, registry: Registry, tmp_path: Path) -> None:
    folder = run_small(write_suite(tmp_path), registry, tmp_path / "out").folder
    with pytest.raises(UsageError, match=message):
        export_small(folder, tmp_path / "to", registry, request_)
    assert not (tmp_path / "to").exists()


def test_nothing_is_written_into_a_folder_with_something_else(registry: Registry, tmp_path: Path) -> None:
    folder = run_small(write_suite(tmp_path), registry, tmp_path / "out").folder
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        export_small(folder, tmp_path / "full", registry)
    assert content(tmp_path / "full") == {"mine.txt": b"mine"}
    export_small(folder, tmp_path / "to", registry, Request(attacks=("PGD",)))
    before = content(tmp_path / "to")
    with pytest.raises(UsageError, match="has another export"):
        export_small(folder, tmp_path / "to", registry, Request(attacks=("MI",)))
    assert content(tmp_path / "to") == before


def test_a_folder_that_cannot_be_written_is_one_line_before_any_attack(
    registry: Registry, tmp_path: Path, monkeypatch
) -> None:
    folder = run_small(write_suite(tmp_path), registry, tmp_path / "out").folder
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(AttackRun, "__init__", lambda *_arguments, **_options: pytest.fail("an attack ran"))
    with pytest.raises(UsageError, match=r"--to: .*: cannot write there: Not a directory"):
        export_small(folder, tmp_path / "file" / "below", registry)


def test_names_of_files_are_safe_and_different() -> None:
    names = file_names(["../../etc/passwd", "a", "A", "..", "é", "x" * 300, "CON/b"])
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[\w.-]{1,110}", name, re.ASCII) and name.strip(".") for name in names)


def test_npz_files_do_not_depend_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    arrays = {"images": np.arange(6), "labels": np.arange(2)}
    before = npz_bytes(arrays)
    monkeypatch.setattr(time, "localtime", lambda *_: time.struct_time((2001, 2, 3, 4, 5, 6, 0, 34, 0)))
    assert npz_bytes(arrays) == before
