"""Folders, lists, arrays and archives of images: classes, targets, ids, and errors."""

import pickle
from pathlib import Path

import numpy as np
import PIL
import pytest

from bench_core.errors import UsageError
from bench_models.datasets import crop
from bench_models.datasets.cifar import cifar10, cifar100
from bench_models.datasets.imagefolder import ImageFolder
from bench_models.datasets.imagelist import ImageList
from bench_models.datasets.npz import NpzImages
from bench_models.datasets.pixel_ids import pixel_ids
from bench_models.pointclouds.shapes import Shapes

from .conftest import Caches
from .stand_ins import Harm, put_cifar, put_pictures

TENCH, GOLDFISH, TOILET_TISSUE = "n01440764", "n01443537", "n15075141"


@pytest.fixture
def root(caches: Caches, tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_subset_of_imagenets_folders_keeps_its_true_classes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_pictures(root / "val", {TOILET_TISSUE: 3, GOLDFISH: 2})
    data = ImageFolder(str(root / "val"), side=16)
    assert sorted(data.labels) == [1, 1, 999, 999, 999]
    assert data.labels == [{GOLDFISH: 1, TOILET_TISSUE: 999}[file.parent.name] for file in data.files]
    assert data.load([0, 4]).shape == (2, 3, 16, 16)
    assert data.load([0]).dtype == np.float32
    assert len(set(data.ids)) == 5
    assert len(ImageFolder(str(root / "val"), per_class=1).ids) == 2
    monkeypatch.setenv("BENCH_DATA", str(root))
    assert ImageFolder(side=16).ids == data.ids, "the parent folder of val, from the environment"


def test_a_file_of_names_gives_the_classes_of_other_folders(root: Path) -> None:
    put_pictures(root / "images", {"dog": 1, "cat": 1})
    (root / "classes.txt").write_text("ant\ncat\ndog\n")
    assert ImageFolder(str(root / "images"), classes=str(root / "classes.txt")).labels == [1, 2]


@pytest.mark.parametrize(
    "other", [{"side": 24}, {"side": 16, "resize": 30}, {"side": 16, "interpolation": "bicubic"}, {"side": 17}]
)
def test_what_changes_the_pixels_changes_the_digests(root: Path, other: dict[str, object]) -> None:
    put_pictures(root, {TENCH: 2})
    default, changed = ImageFolder(str(root), side=16), ImageFolder(str(root), **other)
    assert not set(default.ids) & set(changed.ids)
    assert default.load([0]).shape != changed.load([0]).shape or not np.array_equal(
        default.load([0]), changed.load([0])
    )


def test_another_decoder_gives_other_ids(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another decoder may give other pixels."""
    put_pictures(root, {TENCH: 2})
    old = ImageFolder(str(root), side=16).ids
    assert PIL.__version__ in crop.decoder()
    monkeypatch.setattr(PIL, "__version__", "0.0")
    crop.decoder.cache_clear()
    new = ImageFolder(str(root), side=16).ids
    crop.decoder.cache_clear()
    assert not set(old) & set(new)


def test_a_changed_picture_has_another_digest(root: Path) -> None:
    put_pictures(root, {TENCH: 2})
    data = ImageFolder(str(root))
    index = [file.name for file in data.files].index("1.png")
    unchanged = data.ids[index]
    (root / TENCH / "0.png").write_bytes((root / TENCH / "1.png").read_bytes())
    assert ImageFolder(str(root)).ids == [unchanged, unchanged]


def test_mistakes_in_a_folder_are_reported(root: Path) -> None:
    with pytest.raises(UsageError, match=r"data: root: .*BENCH_DATA"):
        ImageFolder()
    with pytest.raises(UsageError, match="no such file or folder"):
        ImageFolder(str(root / "nowhere"))
    put_pictures(root, {"dog": 1})
    with pytest.raises(UsageError, match="dog is no class of ImageNet"):
        ImageFolder(str(root))
    (root / "classes.txt").write_text("cat\ndoge\n")
    with pytest.raises(UsageError, match=r'does not name the folder dog \(did you mean "doge"'):
        ImageFolder(str(root), classes=str(root / "classes.txt"))
    (root / "empty" / TENCH).mkdir(parents=True)
    with pytest.raises(UsageError, match="no images"):
        ImageFolder(str(root / "empty"))


def write_list(root: Path, lines: list[str], head: str = "ImageId,URL,TrueLabel,TargetClass") -> None:
    (root / "images.csv").write_text("\n".join([head, *lines]) + "\n")


def test_the_list_of_the_competition_gives_labels_and_targets(root: Path) -> None:
    put_pictures(root, {"images": 3}, (299, 299))
    write_list(root, ["0,u,305,306", "2,u,1,1000"])
    data = ImageList(str(root))
    assert (data.labels, data.targets) == ([304, 0], [305, 999])
    assert data.load([0, 1]).shape == (2, 3, 299, 299)
    assert ImageList(str(root), first_class=0).labels == [305, 1]
    assert ImageList(str(root), side=32).ids != data.ids


@pytest.mark.parametrize(
    ("head", "line", "message"),
    [
        ("ImageId,Label", "0,1", "no column TrueLabel; found ImageId, Label"),
        ("ImageId,TrueLabel", "0,dog", 'TrueLabel of 0 is "dog"'),
        ("ImageId,TrueLabel", "0,1,2", "the row of 0 has more values than columns"),
        ("ImageId,TrueLabel,TrueLabel", "0,1,2", "has the column TrueLabel twice"),
        (
            "ImageId,TrueLabel,TargetClass",
            "0,1,2\n0,1,",
            r'TargetClass of 0 is "" \(try a class in every row, or no column\)',
        ),
        ("ImageId,TrueLabel", "nowhere,1", "lists the image nowhere"),
        ("ImageId,TrueLabel", "../secret,1", r"lists the image \.\./secret"),
    ],
)
def test_mistakes_in_a_list_are_reported(root: Path, head: str, line: str, message: str) -> None:
    put_pictures(root, {".": 1})
    (root.parent / "secret.png").write_bytes((root / "0.png").read_bytes())
    write_list(root, [line], head)
    with pytest.raises(UsageError, match=message):
        ImageList(str(root))
    (root / "images.csv").unlink()
    with pytest.raises(UsageError, match="cannot read"):
        ImageList(str(root))


def test_a_list_with_an_empty_column_of_targets_has_none(root: Path) -> None:
    put_pictures(root, {".": 2})
    write_list(root, ["0,u,1,", "1,u,2, "])
    assert ImageList(str(root)).targets is None


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_arrays_are_read_in_either_layout_and_type(root: Path, kind: type, layout: str) -> None:
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 6), dtype=np.uint8)
    stored = pixels if kind is np.uint8 else (pixels / 255).astype(np.float32)
    np.savez(root / "a.npz", images=stored if layout == "nchw" else stored.transpose(0, 2, 3, 1), labels=[3, 1, 2, 0])
    data = NpzImages(str(root / "a.npz"), layout=layout)
    assert data.shape == (3, 8, 6)
    assert data.labels == [3, 1, 2, 0]
    np.testing.assert_allclose(data.load([2, 0]), pixels[[2, 0]] / 255, atol=1e-7)
    assert len(set(data.ids)) == 4


def test_arrays_of_other_pixels_share_no_ids(root: Path) -> None:
    """The bytes of these arrays are the same; as uint8 they are 0 or 1/255, as bool 0 or 1."""
    root.mkdir()
    bits = np.random.default_rng(0).integers(0, 2, (4, 2, 8, 8), dtype=np.uint8)
    variants = {
        "uint8": bits, "bool": bits.astype(bool), "float16": bits.view(np.float16), "shape": bits.reshape(4, 4, 4, 8),
    }  # fmt: skip
    ids: dict[str, list[str]] = {}
    for name, images in variants.items():
        np.savez(root / f"{name}.npz", images=images, labels=[0, 1, 2, 3])
        ids[name] = list(NpzImages(str(root / f"{name}.npz")).ids)
    assert len({image for variant in ids.values() for image in variant}) == 16


def test_channels_last_read_as_channels_first_are_reported(root: Path) -> None:
    """A network that takes any number of inputs would otherwise score them."""
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    np.savez(root / "last.npz", images=pixels, labels=[0, 1, 2, 3])
    np.savez(root / "first.npz", images=pixels.transpose(0, 3, 1, 2), labels=[0, 1, 2, 3])
    with pytest.raises(UsageError, match=r'layout: .*32 channels and 32 x 3 pixels \(try layout = "nhwc"\)'):
        NpzImages(str(root / "last.npz"))
    with pytest.raises(UsageError, match=r'layout: .*32 channels and 3 x 32 pixels \(try layout = "nchw"\)'):
        NpzImages(str(root / "first.npz"), layout="nhwc")
    assert NpzImages(str(root / "last.npz"), layout="nhwc").ids == NpzImages(str(root / "first.npz")).ids


@pytest.mark.parametrize("kind", ["complex64", "U3", "datetime64[s]"])
def test_an_array_of_a_type_that_is_no_pixel_is_reported(root: Path, kind: str) -> None:
    root.mkdir()
    np.savez(root / "a.npz", images=np.zeros((2, 1, 8, 8)).astype(kind), labels=[0, 1])
    with pytest.raises(UsageError, match=r'images: .*a\.npz: "images" has the type .* \(try uint8'):
        NpzImages(str(root / "a.npz"))


def test_clouds_of_the_same_numbers_in_another_shape_share_no_ids() -> None:
    few, many = Shapes(3, points=64), Shapes(3, points=128)
    assert not set(few.ids) & set(many.ids)
    assert not set(few.ids) & set(Shapes(3, points=64, seed=1).ids)


def test_arrays_of_the_same_pixels_share_ids(root: Path) -> None:
    root.mkdir()
    bits = np.random.default_rng(0).integers(0, 2, (4, 2, 8, 8)).astype(bool)
    ids = []
    for kind in (bool, np.float32, np.float64, np.int64):
        np.savez(root / "a.npz", images=bits.astype(kind), labels=[0, 1, 2, 3])
        ids.append(NpzImages(str(root / "a.npz")).ids)
    assert ids == [ids[0]] * 4


def test_mistakes_in_arrays_are_reported(root: Path) -> None:
    root.mkdir()
    np.savez(root / "a.npz", pixels=np.zeros((2, 1, 4, 4)), labels=[0, 1])
    with pytest.raises(UsageError, match=r'images: .*has no array "images"; it has: pixels, labels'):
        NpzImages(str(root / "a.npz"))
    np.savez(root / "b.npz", images=np.zeros((2, 1, 4, 4)), labels=[0, 1, 2])
    with pytest.raises(UsageError, match=r"not \[n, c, h, w\] and integers \[n\]"):
        NpzImages(str(root / "b.npz"))
    np.savez(root / "c.npz", images=np.array([{}], dtype=object), labels=[0])
    with pytest.raises(UsageError, match="cannot read"):
        NpzImages(str(root / "c.npz"))


def test_cifars_archives_are_read_as_torchvision_reads_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    for kind, load_ours, location in (
        ("CIFAR10", cifar10, ("cifar-10-batches-py", "test_batch", "labels")),
        ("CIFAR100", cifar100, ("cifar-100-python", "test", "fine_labels")),
    ):
        pixels = put_cifar(root, *location)
        data = load_ours(str(root))
        theirs = getattr(torchvision.datasets, kind)
        monkeypatch.setattr(theirs, "_check_integrity", lambda _self: True)
        monkeypatch.setattr(theirs, "_load_meta", lambda _self: None)
        expected = theirs(str(root), train=False)
        assert data.labels == expected.targets
        np.testing.assert_array_equal(
            data.load(range(12)), expected.data.transpose(0, 3, 1, 2).astype(np.float32) / 255
        )
        np.testing.assert_array_equal(data.pixels, pixels)
        assert data.ids == pixel_ids(data.load, 12)


def test_a_missing_archive_is_reported_with_its_url(root: Path) -> None:
    root.mkdir()
    with pytest.raises(UsageError, match=r"looked for .*test_batch: .*kriz/cifar-10-python\.tar\.gz, unpacked"):
        cifar10(str(root))


def test_an_archive_that_would_run_code_is_refused(root: Path) -> None:
    put_cifar(root, "cifar-10-batches-py", "test_batch", "labels")
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({"data": Harm(root / "ran")}))
    with pytest.raises(UsageError, match=r"refused.*it imports pathlib\._?\w+|refused.*it imports builtins\.getattr"):
        cifar10(str(root))
    assert not (root / "ran").exists()


def test_pixels_outside_by_a_rounding_are_clipped_with_a_note(root: Path) -> None:
    root.mkdir()
    pixels = np.random.default_rng(0).random((3, 1, 8, 8))
    pixels[0, 0, 0, :2] = -1e-8, 1 + 1e-7
    np.savez(root / "a.npz", images=pixels, labels=[0, 1, 2])
    data = NpzImages(str(root / "a.npz"))
    loaded = data.load([0, 1, 2])
    assert (loaded.min(), loaded.max()) == (0, 1)
    assert data.ids == pixel_ids(data.load, 3)
    assert data.notes == ["pixels up to 1e-05 outside [0, 1] are clipped"]
    np.savez(root / "b.npz", images=np.clip(pixels, 0, 1), labels=[0, 1, 2])
    assert NpzImages(str(root / "b.npz")).ids == data.ids
    assert NpzImages(str(root / "b.npz")).notes == []


def test_cifar_has_a_number_of_classes_that_networks_must_have(root: Path) -> None:
    put_cifar(root, "cifar-10-batches-py", "test_batch", "labels")
    put_cifar(root, "cifar-100-python", "test", "fine_labels")
    assert (cifar10(str(root)).class_count, cifar100(str(root)).class_count) == (10, 100)
