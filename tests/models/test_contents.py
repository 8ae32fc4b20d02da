"""Files that are not what their name says, and texts that are not UTF-8, give one line of our own."""

import gzip
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_models.datasets.cifar import cifar10
from bench_models.datasets.imagefolder import ImageFolder, class_index
from bench_models.datasets.imagelist import read_list
from bench_models.datasets.npz import NpzImages
from bench_models.libraries.weights import read_checkpoint, state_dict_of

from .stand_ins import put_pictures

STATE = {"w": torch.ones(3, 3)}
PAGE = b"<!DOCTYPE html><html><body>404</body></html>"


class Doubles(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * 2


def put(kind: str, file: Path) -> None:
    torch.save(STATE, file)
    whole = file.read_bytes()
    match kind:
        case "page":
            file.write_bytes(PAGE)
        case "lfs":
            file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n")
        case "gzip":
            file.write_bytes(gzip.compress(whole))
        case "tar":
            with tarfile.open(file, "w") as archive:
                archive.add(__file__, "a.py")
        case "zip":
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("model.pth", whole)
        case "npz":
            with file.open("wb") as opened:
                np.savez(opened, a=np.ones(3))
        case "npy":
            with file.open("wb") as opened:
                np.save(opened, np.ones(3))
        case "hdf5":
            file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        case "script":
            torch.jit.script(Doubles()).save(str(file))
        case "module":
            torch.save(nn.Linear(2, 2), file)
        case "pickle":
            file.write_bytes(pickle.dumps({"w": np.ones(3)}))
        case "half":
            file.write_bytes(whole[: len(whole) // 2])
        case "legacy half":
            torch.save(STATE, file, _use_new_zipfile_serialization=False)
            file.write_bytes(file.read_bytes()[:-40])
        case "safetensors half":
            save_file(STATE, file)
            file.write_bytes(file.read_bytes()[:40])
        case "junk":
            file.write_bytes(bytes(range(256)) * 4)


KINDS = {
    "page": "it is an HTML or XML page",
    "lfs": "pointer of Git LFS .*\\(try git lfs pull\\)",
    "gzip": "it is a gzip archive",
    "tar": "it is a tar archive",
    "zip": "it is a ZIP archive of model\\.pth \\(try it unpacked\\)",
    "npz": "archive of NumPy arrays",
    "npy": "single NumPy array",
    "hdf5": "HDF5 file",
    "script": "TorchScript archive",
    "module": "refused: it is a pickle that imports",
    "pickle": "torch.save did not write it, or it is damaged",
    "half": "incomplete archive",
    "legacy half": "",
    "safetensors half": "damaged safetensors",
    "junk": "damaged",
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".ckpt"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_holds_no_weights_is_recognised_by_its_content(kind: str, suffix: str, tmp_path: Path) -> None:
    """Whatever its name; torch's advice, to switch its protection off, is never passed on."""
    put(kind, tmp_path / f"a{suffix}")
    with pytest.raises(UsageError, match=rf"^weights: [^\n]*a{suffix}: [^\n]*{KINDS[kind]}[^\n]*$") as caught:
        state_dict_of(read_checkpoint(tmp_path / f"a{suffix}"), tmp_path / f"a{suffix}")
    assert "weights_only" not in str(caught.value)
    assert "torch.load" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("save", [torch.save, save_file])
def test_weights_are_read_whatever_their_suffix(save, name: str, tmp_path: Path) -> None:
    save(STATE, tmp_path / name)
    assert torch.equal(state_dict_of(read_checkpoint(tmp_path / name), name)["w"], STATE["w"])


def test_data_that_are_a_page_are_recognised(tmp_path: Path, caches: object) -> None:
    put_pictures(tmp_path, {"n01440764": 1})
    (tmp_path / "n01440764" / "0.png").write_bytes(PAGE)
    with pytest.raises(UsageError, match=r"cannot read the picture .*0\.png: it is an HTML or XML page"):
        ImageFolder(str(tmp_path)).load([0])
    (tmp_path / "a.npz").write_bytes(PAGE)
    with pytest.raises(UsageError, match=r"a\.npz: no \.npz file: it is an HTML or XML page"):
        NpzImages(str(tmp_path / "a.npz"))
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(PAGE)
    with pytest.raises(UsageError, match="test_batch: refused, or damaged: it is an HTML or XML page"):
        cifar10(str(tmp_path))


ENCODINGS = [
    ("utf-16", "not UTF-8, but UTF-16"),
    ("utf-16-le", "not UTF-8, but UTF-16"),
    ("latin-1", "not UTF-8: byte 0xe9 in line 3"),
]


@pytest.mark.parametrize(("encoding", "message"), ENCODINGS)
def test_a_text_in_another_encoding_is_named(encoding: str, message: str, tmp_path: Path) -> None:
    expected = rf"cannot read[^\n]*: {message}[^\n]* \(try saving it as UTF-8\)$"
    (tmp_path / "classes.txt").write_bytes("ant\nbee\ncafé\n".encode(encoding))
    with pytest.raises(UsageError, match=rf"^data: classes: .*classes\.txt.*{expected[11:]}"):
        class_index(str(tmp_path / "classes.txt"))
    (tmp_path / "images.csv").write_bytes("ImageId,TrueLabel\n0,1\ncafé,1\n".encode(encoding))
    with pytest.raises(UsageError, match=rf"^data: list: .*images\.csv.*{expected[11:]}"):
        read_list(tmp_path / "images.csv")
    (tmp_path / "one.toml").write_bytes('profiles = ["toy"]\n\ntitle = "café"\n'.encode(encoding))
    with pytest.raises(UsageError, match=rf"one\.toml: {expected}"):
        load_suite(str(tmp_path / "one.toml"))


def test_a_byte_order_mark_belongs_to_no_name(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\n", encoding="utf-8-sig")
    assert class_index(str(tmp_path / "classes.txt")) == {"ant": 0, "bee": 1}


def test_a_class_that_is_named_twice_is_reported(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("crane\nbee\ncrane\n")
    with pytest.raises(UsageError, match=r"classes\.txt names the class crane twice"):
        class_index(str(tmp_path / "classes.txt"))
