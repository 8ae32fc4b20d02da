"""Gets the file of a model's weights from where it is published, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

from ..errors import Fault, UsageError
from ..progress import Progress
from ..types import WeightsFile

BLOCK = 2**20
PATIENCE = 60  # seconds without a byte


def published_size(file: WeightsFile) -> int | None:
    """Give a file's size in bytes, as published or as its server says; None where neither tells. Raises OSError."""
    if file.size:
        return file.size
    with urllib.request.urlopen(urllib.request.Request(file.url, method="HEAD"), timeout=PATIENCE) as answer:
        length = answer.headers.get("Content-Length")
        page = answer.headers.get_content_type() == "text/html"  # a page about the file
    return int(length) if length and not page else None


def fetch(label: str, file: WeightsFile, size: int | None, progress: Progress) -> None:
    """Put a file where its library looks for it.

    Raises UsageError where what came is not what was published, OSError (or what the library's own downloader raises)
    where nothing came.
    """
    if file.download:
        with progress.stage(label, 1) as advance:
            file.download()
            advance(1)
        return
    path = Path(file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        found, digest = _copy(label, file.url, part, size, progress)
        if found is not None:
            raise UsageError(Fault("fetch", label, f"{file.url} broke off after {found} bytes; nothing was kept"))
        if not digest.startswith(file.sha256.lower()):
            message = f"{file.url} has the digest {digest}, not {file.sha256}; nothing was kept"
            raise UsageError(Fault("fetch", label, message))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _copy(label: str, url: str, part: Path, size: int | None, progress: Progress) -> tuple[int | None, str]:
    """Copy what is at an address to a file; give where it broke off (None: it did not) and the digest of what came."""
    state, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer, part.open("wb") as out:
        promised = answer.headers.get("Content-Length")
        with progress.stage(label, int(promised or size or 1)) as advance:
            while block := answer.read(BLOCK):
                out.write(block)
                state.update(block)
                done += len(block)
                advance(len(block))
        out.flush()
        os.fsync(out.fileno())
    return (done if promised and done < int(promised) else None), state.hexdigest()
