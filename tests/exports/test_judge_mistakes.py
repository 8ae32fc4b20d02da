"""Every mistake about images made elsewhere is one line, and nothing is written."""

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.runs.judged import Origin, judged_suite
from bench_core.suite.load import load_suite

from .made import folder_of, fooled, outcomes, perturbed, png
from .small import COUNT, L2, LINF, PGD, judge_small, write_suite


def table(text: str) -> Callable[[Path], None]:
    return lambda root: (root / "labels.csv").write_text(text) and None


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes(content) and None


def encoded(pixels: np.ndarray, kind: str = "png", **options: Any) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    for name in ("mode", "palette"):
        if name in options:
            image = image.convert(options.pop(name))
    image.save(out, kind, **options)
    return out.getvalue()


FLAT = np.full((6, 6), 100, np.uint8)
WRONG: list[tuple[Callable[[Path], Any], str]] = [
    (lambda root: (root / "00002.png").unlink(), "lacks 1 of the 6 images that the suite attacks; the first is"),
    (replaced("2.png", encoded(FLAT)), "00002.png and 2.png are both image 00002 of the dataset"),
    (replaced("00002.png", encoded(np.full((6, 7), 1, np.uint8))), "has 7 x 6 pixels, the dataset's images have 6 x 6"),
    (replaced("00002.png", encoded(FLAT, "jpeg")), "is JPEG-compressed, which changes every pixel"),
    (replaced("00002.png", encoded(FLAT, mode="P")), "has a palette"),
    (replaced("00002.png", encoded(FLAT.astype(np.uint16) * 257)), "has 16 bits per channel"),
    (replaced("00002.png", encoded(FLAT, mode="LA")), "has an alpha channel"),
    (replaced("00002.png", encoded(FLAT, mode="RGBA")), "has an alpha channel"),
    (replaced("00002.png", encoded(FLAT, mode="RGB")), "has 3 channels, the dataset's images have 1"),
    (replaced("00002.png", encoded(FLAT, mode="1")), "has 1 bits per channel"),
    (replaced("00002.png", encoded(FLAT, transparency=3)), "has transparent pixels"),
    (replaced("00002.png", encoded(FLAT, icc_profile=b"x" * 200)), "has a colour profile"),
    (replaced("00002.png", b""), "is empty"),
    (replaced("00002.png", b"<html>"), "is no PNG file"),
    (replaced("00002.png", encoded(FLAT)[:-20]), "is cut off"),
    (replaced("00002.png", encoded(FLAT, "bmp")), "is a BMP file"),
    (replaced("00009.png", encoded(FLAT)), "no image of the dataset matches"),
    (replaced("other.png", encoded(FLAT)), "no image of the dataset matches"),
    (table("filename,label\n00009.png,1\n"), "lists 00009.png, which"),
    (table("filename,label\n../secret.png,1\n"), "lists ../secret.png, which"),
    (table("label\n1\n"), "no column with names"),
    (table("filename,label\n00000.png,many\n"), 'label is "many", which is no number of a class'),
    (table("filename,label\n00000.png,1,2\n"), "more values than there are columns"),
    (table("filename,filename\n00000.png,1\n"), "found the column twice"),
    (table("filename,label\n"), "lists no images"),
    (lambda root: [path.unlink() for path in root.iterdir()], "has no PNG files"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_every_mistake_is_one_line_and_nothing_is_written(
    harm: Callable[[Path], Any], message: str, registry: Registry, tmp_path: Path
) -> None:
    root = folder_of(tmp_path, perturbed())
    harm(root)
    with pytest.raises(UsageError) as caught:
        judge_small(write_suite(tmp_path), root, registry, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list((tmp_path / "out").glob("small*"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"adv": np.zeros((6, 1, 6, 7), np.uint8)}, "the images have the shape (1, 6, 7), the dataset's (1, 6, 6)"),
        ({"adv": np.full((6, 1, 6, 6), 200.0)}, "not in [0, 1] (grey levels?"),
        ({"adv": np.full((6, 1, 6, 6), -1.0)}, "not in [0, 1] (normalised images?"),
        ({"adv": np.full((6, 1, 6, 6), np.nan)}, "found NaN or infinity"),
        ({"adv": np.zeros((6, 1, 6, 6), np.int64)}, "the type is int64"),
        ({"adv": np.zeros((6, 1, 6, 6), np.uint8), "labels": np.zeros(5, int)}, "found the shape (5,) for 6 images"),
        ({"a": np.zeros((6, 1, 6, 6)), "b": np.zeros((6, 1, 6, 6))}, "no array of images; found a (6, 1, 6, 6), b"),
        ({"adv": np.array([None, 1])}, "holds Python objects, which are not loaded"),
    ],
)
def test_wrong_arrays_are_one_line(arrays: Any, message: str, registry: Registry, tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        judge_small(write_suite(tmp_path), tmp_path / "theirs.npz", registry, tmp_path / "out")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_two_budgets_must_be_told_apart(registry: Registry, tmp_path: Path) -> None:
    root, path = folder_of(tmp_path, perturbed()), write_suite(tmp_path, LINF + L2 + PGD)
    with pytest.raises(UsageError, match=r"--budget: missing \(the suite has linf, l2\)"):
        judge_small(path, root, registry, tmp_path / "out")
    assert fooled(judge_small(path, root, registry, tmp_path / "out", Origin(budget="linf"))) == outcomes(perturbed())


def test_a_missing_folder_is_named_whatever_budgets_the_suite_has(registry: Registry, tmp_path: Path) -> None:
    path = write_suite(tmp_path, LINF + L2 + PGD)
    with pytest.raises(UsageError, match=r"nowhere: no such file or folder"):
        judge_small(path, tmp_path / "nowhere", registry, tmp_path / "out")


def test_a_suite_that_names_another_budget_is_one_line(tmp_path: Path) -> None:
    more = f'{LINF}{PGD}[given."Theirs"]\nroot = "x"\nbudget = "linfty"\n'
    with pytest.raises(UsageError, match=r'given\.Theirs\.budget: unknown name "linfty" \(did you mean "linf"\?\)'):
        load_suite(write_suite(tmp_path, more))


def test_a_suite_whose_metrics_need_the_attacked_network_is_refused_before_any_other_question(
    registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=r"^\S+robust_curves.toml: metrics: none of them judges images without"
    ) as error:
        judged_suite(load_suite("robust_curves"), tmp_path, Origin(), registry)
    assert len(error.value.faults) == 1, "nothing of the many budgets, since none of them would do"


def test_many_mistakes_of_a_list_are_three_lines_and_their_number(registry: Registry, tmp_path: Path) -> None:
    root = folder_of(tmp_path, perturbed())
    table("filename,label\n" + "".join(f"{place:05d}.png,shoe\n" for place in range(COUNT)))(root)
    with pytest.raises(UsageError) as caught:
        judge_small(write_suite(tmp_path), root, registry, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "3 more such mistakes" in lines[3]


def test_images_of_another_folder_of_the_same_name_replace_no_run(registry: Registry, tmp_path: Path) -> None:
    path, out = write_suite(tmp_path), tmp_path / "out"
    first = judge_small(path, folder_of(tmp_path, perturbed()), registry, out)
    before = (first.folder / "run.json").read_bytes()
    (tmp_path / "other").mkdir()
    root = folder_of(tmp_path / "other", perturbed(1))
    with pytest.raises(UsageError, match=r"none-judged-theirs: has the judged images of .*try --attack"):
        judge_small(path, root, registry, out)
    assert (first.folder / "run.json").read_bytes() == before
    assert judge_small(path, root, registry, out, Origin(attack="Second")).folder.name == "none-judged-Second"
    assert judge_small(path, tmp_path / "other" / ".." / "theirs", registry, out).folder == first.folder


def test_rows_of_arrays_have_no_empty_file_name(registry: Registry, tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", adv=np.zeros((COUNT, 1, 6, 6), np.uint8), ids=["a"] * COUNT)
    with pytest.raises(UsageError, match=r"theirs.npz: row 0, row 1, row 2 and 3 more: no image .* 00000, ..., 00005"):
        judge_small(write_suite(tmp_path), tmp_path / "theirs.npz", registry, tmp_path / "out")


def fuzzed(content: bytes, draw: np.random.Generator) -> bytes:
    """Return the bytes of a file, mangled in one of several ways."""
    place = int(draw.integers(len(content)))
    other = bytes(draw.integers(0, 256, int(draw.integers(1, 30)), dtype=np.uint8))
    kind = int(draw.integers(7))
    flipped = bytes([content[place] ^ (1 << int(draw.integers(8)))])
    return [
        content[:place], content[:place] + flipped + content[place + 1 :], other, content[:place] + other,
        content[:place] + other + content[place:], content[place:], content[:place] + content[place + 9 :],
    ][kind]  # fmt: skip


def test_200_mangled_files_are_one_line_each_and_nothing_is_written(registry: Registry, tmp_path: Path) -> None:
    draw, path = np.random.default_rng(0), write_suite(tmp_path)
    root, images = folder_of(tmp_path, perturbed()), perturbed()
    kinds = {
        "png": png, "jpeg": lambda image: encoded(image[0], "jpeg"),
        "palette": lambda image: encoded(image[0], mode="P"), "16 bits": lambda image: encoded(image[0] * np.uint16(7)),
    }  # fmt: skip
    refused: list[str] = []
    for number in range(200):
        place, kind = int(draw.integers(COUNT)), str(draw.choice(list(kinds), p=[0.7, 0.1, 0.1, 0.1]))
        file = root / f"{place:05d}.png"
        whole = file.read_bytes()
        file.write_bytes(fuzzed(kinds[kind](images[place]), draw))
        try:
            result = judge_small(path, root, registry, tmp_path / "out")
            assert fooled(result) == outcomes(images), number  # only what stands after the end was mangled
        except UsageError as error:
            refused.append(str(error))
        else:
            shutil.rmtree(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        file.write_bytes(whole)
    assert len(refused) > 190
    assert all(len(line.splitlines()) == 1 and re.search(r"0000\d\.png: ", line) for line in refused)


def test_the_command_prints_one_line_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench_core.cli import app, guard

    for words in (
        ["judge", str(tmp_path / "none"), "--suite", "transfer_table2"],
        ["export", str(tmp_path / "none"), "--to", str(tmp_path / "to")],
    ):
        call = [*words, "--out", str(tmp_path / "out")] if words[0] == "judge" else words
        assert guard(lambda call=call: app(call, prog_name="bench", standalone_mode=False), False) == 2  # type: ignore[misc]
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert "Traceback" not in captured.err
    assert not (tmp_path / "to").exists()
