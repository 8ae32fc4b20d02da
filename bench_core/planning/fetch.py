"""Downloads weights. An incomplete or wrong download leaves no file."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

from ..errors import Fault, UsageError
from ..progress import Progress
from ..types import WeightsFile

BLOCK = 2**20
TIMEOUT = 60  # seconds without data


def published_size(file: WeightsFile) -> int | None:
    """Return a file's size in bytes, as published or from its server, or None if unknown. Raises OSError."""
    if file.size:
        return file.size
    with urllib.request.urlopen(urllib.request.Request(file.url, method="HEAD"), timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        page = response.headers.get_content_type() == "text/html"  # an HTML page in place of the file
    return int(length) if length and not page else None


def fetch(label: str, file: WeightsFile, size: int | None, progress: Progress) -> None:
    """Download a file to the path where its library looks for it.

    Args:
        label: Label of the model, for progress and messages.
        file: The file to download.
        size: The file's size in bytes, for progress; None if unknown.
        progress: Where progress is shown.

    Raises:
        UsageError: if the download is incomplete or has a wrong digest.
        OSError: if the download fails. A library's own downloader may raise other errors.
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
        broken_at, digest = _copy(label, file.url, part, size, progress)
        if broken_at is not None:
            raise UsageError(Fault("fetch", label, f"{file.url} broke off after {broken_at} bytes; nothing was kept"))
        if not digest.startswith(file.sha256.lower()):
            message = f"{file.url} has the digest {digest}, not {file.sha256}; nothing was kept"
            raise UsageError(Fault("fetch", label, message))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _copy(label: str, url: str, part: Path, size: int | None, progress: Progress) -> tuple[int | None, str]:
    """Copy a URL to a file; return its bytes if incomplete (None if complete), and the SHA-256 of what was received."""
    state, size_received = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, part.open("wb") as out:
        announced = response.headers.get("Content-Length")
        with progress.stage(label, int(announced or size or 1)) as advance:
            while block := response.read(BLOCK):
                out.write(block)
                state.update(block)
                size_received += len(block)
                advance(len(block))
        out.flush()
        os.fsync(out.fileno())
    incomplete = announced and size_received < int(announced)
    return (size_received if incomplete else None), state.hexdigest()
