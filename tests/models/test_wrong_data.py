"""Wrong image files are reported in one line that names them; the order of the images in a folder."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_models.datasets.cifar import cifar10
from bench_models.datasets.imagefolder import ImageFolder
from bench_models.datasets.imagelist import ImageList
from bench_models.datasets.npz import NpzImages

from .conftest import Caches
from .stand_ins import put_pictures

CLASSES = ("n01440764", "n01443537", "n01484850", "n01491361", "n01494475")


@pytest.fixture
def root(caches: Caches, tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_the_first_images_of_a_folder_are_of_many_classes(root: Path) -> None:
    """Attacks get the first images: sorted by name, the first 10 of 50 would all be of one class."""
    put_pictures(root / "val", dict.fromkeys(CLASSES, 10))
    data = ImageFolder(str(root), side=16)
    assert len(set(data.labels[:10])) >= 4
    assert [CLASSES[label] for label in data.labels] == [file.parent.name for file in data.files]
    assert data.class_count == 1000, "the number of ImageNet's classes, not of the folders"
    fewer = ImageFolder(str(root / "val"), side=16, per_class=4)
    assert [file for file in data.files if file in fewer.files] == fewer.files, (
        "the order is that of the paths, and not random"
    )


def test_no_picture_is_read_before_ids_are_needed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other mistakes are then reported without delay."""
    put_pictures(root, {CLASSES[0]: 2})
    (root / "images.csv").write_text(f"ImageId,TrueLabel\n{CLASSES[0]}/0,1\n")
    digested: list[int] = []
    digests = "bench_models.datasets.pictures.file_digests"
    monkeypatch.setattr(digests, lambda files: digested.append(len(files)) or ["digest"] * len(files))
    folder, listed = ImageFolder(str(root)), ImageList(str(root))
    assert digested == []
    assert (len(folder.ids), len(listed.ids), len(folder.ids)) == (2, 1, 2)
    assert digested == [2, 1]


def test_a_picture_that_cannot_be_read_is_named(root: Path) -> None:
    put_pictures(root, {CLASSES[0]: 2})
    (root / CLASSES[0] / "0.png").write_text("junk")
    content = (root / CLASSES[0] / "1.png").read_bytes()
    (root / CLASSES[0] / "1.png").write_bytes(content[: len(content) // 2])
    data = ImageFolder(str(root), side=16)
    for index, file in enumerate(data.files):
        with pytest.raises(UsageError, match=rf"^data: cannot read the picture .*{file.name}: [^\n]+$"):
            data.load([index])


def test_a_picture_that_changes_during_a_run_is_an_error(root: Path) -> None:
    """A worker builds its dataset once and runs for hours."""
    put_pictures(root, {CLASSES[0]: 2})
    data = ImageFolder(str(root), side=16)
    expected = data.load([1])
    data.files[0].write_bytes(data.files[1].read_bytes())
    with pytest.raises(UsageError, match=rf"^data: .*{data.files[0].name} has changed during the run"):
        data.load([0])
    assert np.array_equal(data.load([1]), expected)


def test_a_picture_that_disappears_is_named(root: Path) -> None:
    put_pictures(root, {CLASSES[0]: 2})
    data = ImageFolder(str(root), side=16)
    assert len(data.ids) == 2
    data.files[0].unlink()
    with pytest.raises(UsageError, match=rf"^data: cannot read the picture .*{data.files[0].name}"):
        data.load([0])


def test_a_folder_without_classes_is_named_wherever_it_was_given(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(root))
    with pytest.raises(UsageError, match=f"no images in the class folders of {root}$"):
        ImageFolder()


@pytest.mark.parametrize("content", [b"", b"junk" * 100])
def test_a_file_that_is_no_archive_is_reported(root: Path, content: bytes) -> None:
    (root / "a.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"data: root: cannot read .*a\.npz: no \.npz file"):
        NpzImages(str(root / "a.npz"))


def test_a_single_array_is_no_archive(root: Path) -> None:
    np.save(root / "a.npy", np.zeros(3))
    with pytest.raises(
        UsageError,
        match=r"a\.npy: no \.npz file: it is a single NumPy array \(\.npy\) \(try",
    ):
        NpzImages(str(root / "a.npy"))


def test_an_archive_with_damaged_content_is_reported(root: Path) -> None:
    np.savez_compressed(root / "a.npz", images=np.random.default_rng(0).random((9, 3, 8, 8)), labels=np.arange(9))
    content = bytearray((root / "a.npz").read_bytes())
    content[60:400] = bytes(340)
    (root / "a.npz").write_bytes(content)
    assert zipfile.is_zipfile(root / "a.npz")
    with pytest.raises(UsageError, match=r"data: root: cannot read .*a\.npz: "):
        NpzImages(str(root / "a.npz"))


def test_an_incomplete_row_of_a_list_is_reported(root: Path) -> None:
    put_pictures(root, {".": 2})
    (root / "images.csv").write_text("ImageId,TrueLabel\n0,1\n1\n")
    with pytest.raises(UsageError, match=r'images\.csv: TrueLabel of 1 is ""'):
        ImageList(str(root))


def test_a_list_may_begin_with_a_byte_order_mark(root: Path) -> None:
    put_pictures(root, {".": 1})
    (root / "images.csv").write_text("ImageId,TrueLabel\n0,1\n", encoding="utf-8-sig")
    assert ImageList(str(root)).labels == [0]


@pytest.mark.parametrize(
    "content", [{"data": np.zeros((2, 3072), np.uint8)}, {"data": np.zeros(5), "labels": [1]}, ["no", "table"]]
)
def test_a_pickle_that_is_no_batch_of_cifar_is_reported(root: Path, content: object) -> None:
    (root / "cifar-10-batches-py").mkdir()
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UsageError, match=r"test_batch: no images of 3 x 32 x 32.*kriz/cifar-10-python\.tar\.gz"):
        cifar10(str(root))
