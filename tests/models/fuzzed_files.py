"""Makes files as people have them, from a seed: pictures, lists, arrays and checkpoints, some of them harmed.

Every file is made from known pixels, labels or weights. So whatever a run returns is either right or an error.
"""

from __future__ import annotations

import gzip
import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from bench_core.hookspecs import hookimpl
from bench_core.types import ModelRecipe

SIDE, CLASSES = 8, 97
Pixels = NDArray[np.uint8]
PAGE = b"<!DOCTYPE html><html><body>404 not found</body></html>"


def class_of(pixels: NDArray[Any]) -> int:
    """Return a class that depends on every grey level of an image: their weighted sum, modulo the number of classes."""
    weights = np.arange(1, pixels.size + 1, dtype=np.int64)
    return int((pixels.astype(np.int64).ravel() * weights).sum() % CLASSES)


class ReadsPixels(nn.Module):
    """Classifies images [n, c, h, w] by `class_of` their grey levels: one wrong level gives another class."""

    def forward(self, images: Tensor) -> Tensor:
        levels = (images * 255).round().long().permute(0, 2, 3, 1)
        classes = torch.tensor([class_of(image.cpu().numpy()) for image in levels])
        return nn.functional.one_hot(classes, CLASSES).float() + 0 * images.sum()


class Plugin:
    @hookimpl
    def bench_models(self) -> Mapping[str, ModelRecipe]:
        return {"reads_pixels": ModelRecipe(ReadsPixels, dict, "classifies by exact pixels")}


@dataclass(frozen=True)
class Trial:
    """A dataset on disk, and whether a run on it must fail because a file was harmed beyond repair."""

    options: dict[str, Any]
    what: str
    fails: bool


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(draw: np.random.Generator) -> tuple[bytes, Pixels, str, str]:
    """Return a picture as bytes, its pixels [h, w, 3], its usual suffix, and its mode and format."""
    grey = draw.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    rgb = draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    three = np.repeat(grey[:, :, None], 3, 2)
    opaque = np.full_like(grey, 255)
    hole = np.where(grey > 100, grey, 255).astype(np.uint8)
    few = grey % 8
    palette = draw.integers(0, 256, (8, 3), dtype=np.uint8)
    indexed = Image.fromarray(few, "P")
    indexed.putpalette(palette.ravel().tolist())
    bits = np.where(three > 99, 255, 0)
    modes: dict[str, tuple[Image.Image, Pixels, tuple[str, ...]]] = {
        "1": (Image.fromarray(grey > 99), bits, ("PNG", "TIFF", "BMP")),
        "L": (Image.fromarray(grey), three, ("PNG", "TIFF", "BMP", "PPM", "GIF")),
        "RGB": (Image.fromarray(rgb), rgb, ("PNG", "TIFF", "BMP", "PPM", "WEBP")),
        "LA": (Image.fromarray(np.dstack([grey, opaque]), "LA"), three, ("PNG", "TIFF")),
        "LA with holes": (Image.fromarray(np.dstack([grey, hole]), "LA"), three, ("PNG",)),
        "RGBA": (Image.fromarray(np.dstack([rgb, opaque]), "RGBA"), rgb, ("PNG", "TIFF", "WEBP")),
        "RGBA with holes": (Image.fromarray(np.dstack([rgb, hole]), "RGBA"), rgb, ("PNG", "WEBP")),
        "P": (indexed, palette[few], ("PNG", "GIF", "TIFF", "BMP")),
        "I;16": (Image.fromarray(grey.astype(np.uint16) * 257), three, ("PNG", "TIFF")),
        "I": (Image.fromarray(grey.astype(np.int32)), three, ("TIFF",)),
        "F": (Image.fromarray(grey.astype(np.float32)), three, ("TIFF",)),
        "CMYK": (Image.fromarray(rgb).convert("CMYK"), rgb, ("TIFF",)),
        "LAB": (Image.fromarray(rgb, "LAB"), rgb, ("TIFF",)),
        "HSV": (Image.fromarray(rgb).convert("HSV"), rgb, ()),
    }  # fmt: skip
    name = str(draw.choice([mode for mode, (_, _, kinds) in modes.items() if kinds]))
    image, pixels, kinds = modes[name]
    kind = str(draw.choice(kinds))
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if name == "RGB" and kind == "PNG" and draw.random() < 0.3:  # stored on its side, as by a telephone
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"], image = exif, Image.fromarray(rgb.transpose(1, 0, 2)[::-1])
    suffix = {"TIFF": ".tif", "PPM": ".ppm", "WEBP": ".webp"}.get(kind, f".{kind.lower()}")
    return encoded(image, kind, **options), pixels.astype(np.uint8), suffix, f"{name} {kind}"


def harmed(content: bytes, draw: np.random.Generator) -> tuple[bytes, str]:
    """Return a content, harmed in one way or as it was, and the name of the harm."""
    cut = int(draw.integers(1, max(2, len(content))))
    harms: Mapping[str, Callable[[], bytes]] = {
        "whole": lambda: content,
        "cut": lambda: content[:cut],
        "empty": lambda: b"",
        "a page": lambda: PAGE,
        "gzip": lambda: gzip.compress(content),
        "noise": lambda: draw.bytes(200),
        "lfs": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n",
        "more at the end": lambda: content + b"\n",
    }
    name = str(draw.choice(list(harms), p=[0.4, 0.2, *[0.4 / 6] * 6]))
    return harms[name](), name


def picture_trial(folder: Path, draw: np.random.Generator) -> Trial:
    """Make a folder of classes with one picture, perhaps of a wrong suffix, perhaps beside hidden or other files."""
    content, pixels, suffix, what = picture(draw)
    content, harm = harmed(content, draw)
    suffix = str(draw.choice([suffix, suffix.upper(), ".png", ".JPEG", ".heic"], p=[0.6, 0.1, 0.1, 0.1, 0.1]))
    classes = folder / "classes.txt"
    classes.write_text("".join(f"c{k}\n" for k in range(CLASSES)))
    home = folder / "images" / f"c{class_of(pixels)}"
    home.mkdir(parents=True)
    (home / f"a{suffix}").write_bytes(content)
    extra = str(draw.choice(["", ".DS_Store", "._a.png", "Thumbs.db", "notes.txt"]))
    if extra:
        (home / extra).write_bytes(b"x")
    options = {"kind": "imagefolder", "root": str(folder / "images"), "classes": str(classes), "side": SIDE}
    fails = harm in ("empty", "a page", "gzip", "noise", "lfs") or suffix == ".heic" or extra == "notes.txt"
    fails = fails or "holes" in what or what.split()[0] in ("I", "F", "LAB")
    return Trial(options, f"{what} {harm} {suffix} {extra}", fails)


def list_trial(folder: Path, draw: np.random.Generator) -> Trial:
    """Make pictures with a CSV list of their classes, in one of the forms and encodings that programs write."""
    rows = []
    for index in range(3):
        pixels = draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"é{index}.png")
        rows.append((f"é{index}", class_of(pixels)))
    forms: Mapping[str, Callable[[], str]] = {
        "plain": lambda: "ImageId,TrueLabel\n" + "".join(f"{name},{k}\n" for name, k in rows),
        "crlf": lambda: "ImageId,TrueLabel\r\n" + "".join(f"{name},{k}\r\n" for name, k in rows),
        "quoted": lambda: '"ImageId","TrueLabel"\n' + "".join(f'"{name}.png","{k}"\n' for name, k in rows),
        "other order": lambda: "TrueLabel,URL,ImageId\n" + "".join(f"{k},u,{name}\n" for name, k in rows),
        "spaces": lambda: "ImageId,TrueLabel\n" + "".join(f"{name}, {k} \n" for name, k in rows),
        "blank lines": lambda: "ImageId,TrueLabel\n\n" + "".join(f"{name},{k}\n\n" for name, k in rows),
        "semicolons": lambda: "ImageId;TrueLabel\n" + "".join(f"{name};{k}\n" for name, k in rows),
        "no head": lambda: "".join(f"{name},{k}\n" for name, k in rows),
        "decimals": lambda: "ImageId,TrueLabel\n" + "".join(f"{name},{k}.5\n" for name, k in rows),
        "longer row": lambda: "ImageId,TrueLabel\n" + "".join(f"{name},{k},{k}\n" for name, k in rows),
        "empty class": lambda: "ImageId,TrueLabel\n" + "".join(f"{name},\n" for name, _ in rows),
        "column twice": lambda: "ImageId,TrueLabel,TrueLabel\n" + "".join(f"{name},{k},0\n" for name, k in rows),
        "only a head": lambda: "ImageId,TrueLabel\n",
        "unknown image": lambda: "ImageId,TrueLabel\nnowhere,1\n",
    }  # fmt: skip
    form = str(draw.choice(list(forms)))
    encoding = str(draw.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"], p=[0.5, 0.2, 0.1, 0.1, 0.1]))
    (folder / "images.csv").write_bytes(forms[form]().encode(encoding))
    right = ("plain", "crlf", "quoted", "other order", "spaces", "blank lines")
    fails = form not in right or not encoding.startswith("utf-8")
    options = {"kind": "imagelist", "root": str(folder), "side": SIDE, "first_class": 0}
    return Trial(options, f"list {form} {encoding}", fails)


def array_trial(folder: Path, draw: np.random.Generator) -> Trial:
    """Make an .npz file of images in one of many types, ranges and layouts."""
    pixels = draw.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.array([class_of(image) for image in pixels])
    forms: Mapping[str, Any] = {
        "uint8": pixels, "float32": (pixels / 255).astype(np.float32), "float64": pixels / 255,
        "levels as float": pixels.astype(np.float32), "levels as int64": pixels.astype(np.int64),
        "from -1 to 1": pixels / 127.5 - 1, "complex": pixels / 255 + 0j, "text": pixels.astype(str),
        "a rounding outside": pixels / 255 * (1 + 2e-7), "not a number": np.where(pixels == 0, np.nan, pixels / 255),
    }  # fmt: skip
    form = str(draw.choice(list(forms)))
    layout = str(draw.choice(["nhwc", "nchw"]))
    stored = forms[form] if layout == "nhwc" else forms[form].transpose(0, 3, 1, 2)
    read_as = str(draw.choice([layout, "nchw", "nhwc"]))
    file = io.BytesIO()
    np.savez_compressed(file, images=stored, labels=labels)
    content, harm = harmed(file.getvalue(), draw)
    (folder / "a.npz").write_bytes(content)
    right = form in ("uint8", "float32", "float64", "a rounding outside") and read_as == layout
    right = right or (form == "not a number" and read_as == layout and not (pixels == 0).any())
    options = {"kind": "npz", "root": str(folder / "a.npz"), "layout": read_as}
    return Trial(
        options, f"npz {form} {layout} as {read_as} {harm}", not right or harm not in ("whole", "more at the end")
    )


MAKERS = (picture_trial, picture_trial, picture_trial, list_trial, array_trial)


@dataclass(frozen=True)
class Weights:
    """A file of weights with the options to read it, and whether reading must fail."""

    file: Path
    options: dict[str, Any]
    what: str
    fails: bool


def weights_trial(network: nn.Module, other: nn.Module, folder: Path, draw: np.random.Generator) -> Weights:
    """Save the weights of a network in one of the ways of training scripts, perhaps harmed.

    Args:
        network: The network that is expected in the file.
        other: Another network of the same library.
        folder: Where the file is put.
        draw: Source of all random choices.
    """
    state = {name: value.clone() for name, value in network.state_dict().items()}
    names = [name for name, value in state.items() if value.is_floating_point()]
    name = str(draw.choice(names))
    prefix = str(draw.choice(["", "module.", "1.module."]))
    named = {f"{prefix}{key}": value for key, value in state.items()}
    constants = {"0.mean": torch.full((3,), 0.4), "0.std": torch.full((3,), 0.3)}
    contents: Mapping[str, Callable[[], Any]] = {
        "plain": lambda: named,
        "nested": lambda: {"state_dict": named, "epoch": 3, "optimizer": {"state": {}}},
        "parameters": lambda: {key: nn.Parameter(value, requires_grad=False) for key, value in named.items()},
        "double": lambda: {key: value.double() for key, value in named.items()},
        "normaliser": lambda: {**named, **constants},
        "average beside": lambda: {"state_dict": named, "ema": {key: value * 2 for key, value in named.items()}},
        "one missing": lambda: {key: value for key, value in named.items() if key != f"{prefix}{name}"},
        "one more": lambda: {**named, f"{prefix}extra.weight": torch.ones(2)},
        "one of another shape": lambda: {**named, f"{prefix}{name}": torch.ones(7, 7)},
        "integers": lambda: {key: (value * 9).to(torch.int8) for key, value in named.items()},
        "another network": lambda: {f"{prefix}{key}": value for key, value in other.state_dict().items()},
        "no prefix": lambda: {f"other.{key}": value for key, value in state.items()},
        "list": lambda: [named],
        "no tensors": lambda: {"epoch": 3},
    }
    form = str(draw.choice(list(contents), p=[0.3, 0.1, *[0.6 / 12] * 12]))
    content = contents[form]()
    flat = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
    writer = str(draw.choice(["zip", "legacy", "safetensors", "pickle"], p=[0.6, 0.15, 0.15, 0.1]))
    writer = "zip" if writer == "safetensors" and (not flat or form == "parameters") else writer
    file = io.BytesIO()
    match writer:
        case "safetensors":
            file.write(to_safetensors(content))
        case "pickle":
            pickle.dump({"state_dict": {"w": np.ones(3)}}, file)
        case _:
            torch.save(content, file, _use_new_zipfile_serialization=writer == "zip")
    written, harm = harmed(file.getvalue(), draw)
    path = folder / str(draw.choice(["a.pt", "a.pth.tar", "a.safetensors", "a.ckpt"]))
    path.write_bytes(written)
    right = form in ("plain", "nested", "parameters", "double") and writer != "pickle" and harm == "whole"
    uncertain = right or (harm == "more at the end" and form in ("plain", "nested", "parameters", "double"))
    return Weights(path, {"prefix": prefix}, f"{form} {writer} {harm} {path.name}", not uncertain or writer == "pickle")
