"""Recognises files by their content where it is not what their name says."""

from __future__ import annotations

import zipfile
from pathlib import Path

HEAD = 1024  # bytes that are looked at
UNPACK = "(try it unpacked)"
AGAIN = "(try the download again)"
# What a content begins with, what it is, and what would do.
MAGIC = (
    (b"version https://git-lfs", "a pointer of Git LFS instead of the file", "(try git lfs pull)"),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\x89HDF", "an HDF5 file, such as Keras writes", ""),
    (b"\x93NUMPY", "a single NumPy array (.npy)", ""),
    (b"%PDF", "a PDF document", ""),
    (b"GGUF", "a GGUF file", ""),
    (b"\x89PNG", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    (b"GIF8", "a GIF picture", ""),
    (b"8BPS", "a Photoshop document", ""),
)
HTML = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<script")


def described(content: bytes) -> str:
    """Return what a content is and what would do, such as "it is an HTML page (...)"; "" where it is not recognised.

    Args:
        content: The beginning of a file, or all of it.
    """
    head = content[:HEAD]
    if not head:
        return f"it is empty {AGAIN}"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(HTML):
        return "it is an HTML or XML page (was the download refused?)"
    if head[257:262] == b"ustar":
        return f"it is a tar archive {UNPACK}"
    if head[4:8] == b"ftyp" and head[8:11] in (b"hei", b"hev", b"mif"):
        return "it is a HEIC photograph (try it as JPEG or PNG)"
    found = next(((kind, hint) for magic, kind, hint in MAGIC if head.startswith(magic)), None)
    return "" if found is None else " ".join(filter(None, ("it is", *found)))


def described_weights(file: str | Path) -> str:
    """Return why a file holds no weights that torch or safetensors reads; "" where its content does not show it."""
    path = Path(file)
    with path.open("rb") as opened:
        head = opened.read(HEAD)
    if zipfile.is_zipfile(path):
        return _described_archive(path)
    if head.startswith(b"PK"):
        return f"it is an incomplete archive {AGAIN}"
    if is_safetensors(head):
        return f"it is an incomplete or damaged safetensors file {AGAIN}"
    return described(head)


def _described_archive(path: Path) -> str:
    """Return what a ZIP archive is, if torch.save did not write it."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("constants.pkl") for name in names):
        return "it is a TorchScript archive (try its state dict: torch.jit.load(FILE).state_dict())"
    if any(name.endswith("data.pkl") for name in names):
        return ""
    if names and all(name.endswith(".npy") for name in names):
        return "it is an archive of NumPy arrays (.npz)"
    return f"it is a ZIP archive of {', '.join(names[:3]) or 'nothing'} {UNPACK}"


def is_safetensors(head: bytes) -> bool:
    """Return whether a content begins as safetensors does: the length of a JSON table, then the table."""
    return len(head) > 9 and int.from_bytes(head[:8], "little") < 2**27 and head[8:10] in (b'{"', b"{}", b"{ ")
