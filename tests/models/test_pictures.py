"""Every mode of picture that Pillow opens comes out right, or is refused in one line that names the file."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from bench_core.errors import UsageError
from bench_models.datasets.decode import Undecodable, decode
from bench_models.datasets.imagefolder import ImageFolder
from bench_models.datasets.imagelist import ImageList

from .conftest import Caches

TENCH = "n01440764"
DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (6, 5), dtype=np.uint8)
RGB = DRAW.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode(content))


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def with_alpha(values: np.ndarray, alpha: int, hole: bool = False) -> Image.Image:
    layer = np.full(values.shape[:2], alpha, np.uint8)
    layer[0, 0] = 0 if hole else alpha
    return Image.fromarray(np.dstack([values, layer]), "LA" if values.ndim == 2 else "RGBA")


def palette(transparent: int | None = None) -> bytes:
    image = Image.fromarray(GREY % 4, "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    return encoded(image, **({} if transparent is None else {"transparency": transparent}))


COLOURS = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]], np.uint8)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(encoded(Image.fromarray(GREY > 127)), three((GREY > 127) * np.uint8(255)), id="1"),
        pytest.param(encoded(Image.fromarray(GREY)), three(GREY), id="L"),
        pytest.param(encoded(Image.fromarray(RGB)), RGB, id="RGB"),
        pytest.param(encoded(with_alpha(GREY, 255)), three(GREY), id="opaque LA"),
        pytest.param(encoded(with_alpha(RGB, 255)), RGB, id="opaque RGBA"),
        pytest.param(palette(), COLOURS[GREY % 4], id="P"),
        pytest.param(palette(200), COLOURS[GREY % 4], id="P with a transparent entry that no pixel has"),
        pytest.param(encoded(Image.fromarray(GREY.astype(np.uint16) * 257)), three(GREY), id="I;16"),
        pytest.param(encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"), three(GREY), id="I;16 as TIFF"),
        pytest.param(encoded(Image.fromarray(RGB).convert("CMYK"), "TIFF"), RGB, id="CMYK"),
        pytest.param(
            encoded(Image.fromarray(RGB).convert("YCbCr"), "TIFF"),
            np.asarray(Image.fromarray(RGB).convert("YCbCr").convert("RGB")),
            id="YCbCr",
        ),
        pytest.param(encoded(Image.fromarray(RGB), icc_profile=b"damaged"), RGB, id="a damaged profile"),
    ],
)
def test_a_mode_comes_out_right(content: bytes, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels(content), expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(encoded(with_alpha(GREY, 255, hole=True)), "partly transparent", id="LA"),
        pytest.param(encoded(with_alpha(RGB, 128)), "partly transparent", id="RGBA"),
        pytest.param(palette(2), "partly transparent", id="P"),
        pytest.param(encoded(Image.fromarray(RGB), transparency=tuple(map(int, RGB[0, 0]))), "transparent", id="RGB"),
        pytest.param(encoded(Image.fromarray(GREY), transparency=int(GREY[0, 0])), "partly transparent", id="L"),
        pytest.param(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "mode is F", id="F"),
        pytest.param(encoded(Image.fromarray(GREY.astype(np.int32)), "TIFF"), "mode is I,", id="I"),
        pytest.param(encoded(Image.fromarray(RGB, "LAB"), "TIFF"), "mode is LAB", id="LAB"),
        pytest.param(
            encoded(Image.fromarray(RGB), "GIF", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
            "2 frames",
            id="animated",
        ),
    ],
)
def test_a_mode_without_a_right_form_is_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(content)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright(orientation: int) -> None:
    """The tag says where the first row and column of the file are in the picture (EXIF 2.3, sec. 4.6.4)."""
    upright = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.transpose(1, 0, 2),
        6: RGB.transpose(1, 0, 2)[:, ::-1], 7: RGB[::-1, ::-1].transpose(1, 0, 2), 8: RGB.transpose(1, 0, 2)[::-1],
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(RGB), exif=exif)), upright[orientation])


def test_a_colour_profile_is_converted() -> None:
    """The colours of this profile are those of sRGB with red and green exchanged in its description of primaries."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(RGB), icc_profile=srgb)), RGB)
    red, green = srgb.index(b"rXYZ"), srgb.index(b"gXYZ")
    exchanged = bytearray(srgb.replace(b"sRGB", b"test").replace(b"s\0R\0G\0B", b"t\0e\0s\0t"))
    exchanged[red : red + 4], exchanged[green : green + 4] = b"gXYZ", b"rXYZ"
    found = pixels(encoded(Image.fromarray(RGB), icc_profile=bytes(exchanged)))
    np.testing.assert_allclose(found.astype(int), RGB[:, :, [1, 0, 2]].astype(int), atol=3)


@pytest.fixture
def folder(caches: Caches, tmp_path: Path) -> Path:
    (tmp_path / "data" / TENCH).mkdir(parents=True)
    return tmp_path / "data" / TENCH


def test_a_saved_adversarial_image_is_not_rescaled(folder: Path) -> None:
    """By default, scaling to 8/7 of the side and cropping would smooth its perturbation away."""
    exact = DRAW.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(exact).save(folder / "0.png")
    expected = exact.transpose(2, 0, 1) / 255
    np.testing.assert_allclose(ImageFolder(str(folder.parent), side=32).load([0])[0], expected, atol=1e-7)
    asked = ImageFolder(str(folder.parent), side=32, resize=36)
    assert np.abs(asked.load([0])[0] - expected).max() > 0.1
    assert asked.ids != ImageFolder(str(folder.parent), side=32).ids


@pytest.mark.parametrize("name", ["a.heic", "a.txt", "a", "a.png.part", "subfolder/a.png"])
def test_nothing_in_a_class_folder_is_left_out_silently(folder: Path, name: str) -> None:
    Image.fromarray(RGB).save(folder / "0.png")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(encoded(Image.fromarray(RGB)))
    shown = name.partition("/")[0]
    with pytest.raises(UsageError, match=rf"{TENCH} has 1 entry that is no picture: {shown} \(remove or convert"):
        ImageFolder(str(folder.parent))


@pytest.mark.parametrize("suffix", [".PNG", ".tif", ".jfif", ".gif", ".avif", ".ppm"])
def test_every_usual_suffix_is_read(folder: Path, suffix: str) -> None:
    Image.fromarray(RGB).save(folder / f"0{suffix}", "JPEG" if suffix == ".jfif" else None)
    Image.fromarray(RGB).save(folder / "1.png")
    assert ImageFolder(str(folder.parent), side=4).load([0, 1]).shape == (2, 3, 4, 4)


def test_hidden_and_system_files_are_counted(folder: Path) -> None:
    Image.fromarray(RGB).save(folder / "0.png")
    for name in (".DS_Store", "._0.png", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    (folder.parent / ".ipynb_checkpoints").mkdir()
    data = ImageFolder(str(folder.parent))
    assert [file.name for file in data.files] == ["0.png"]
    assert data.notes == ["3 hidden or system files in the class folders are not used"]


def test_a_name_without_suffix_that_fits_two_pictures_is_reported(folder: Path) -> None:
    for suffix in (".png", ".JPG"):
        Image.fromarray(RGB).save(folder / f"0{suffix}")
    (folder / "images.csv").write_text("ImageId,TrueLabel\n0,1\n")
    with pytest.raises(UsageError, match=r"lists the image 0, but .* has 0\.JPG, 0\.png \(try names with"):
        ImageList(str(folder))
    (folder / "images.csv").write_text("ImageId,TrueLabel\n0.png,1\n")
    assert ImageList(str(folder)).files[0].name == "0.png"
