"""Downloads weights; an incomplete or wrong download leaves no file."""

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
    with urllib.request.urlopen(urllib.request.Request(file.url, method="HEAD"), timeout=TIMEOUT) as answer:
        length = answer.headers.get("Content-Length")
        page = answer.headers.get_content_type() == "text/html"  # an HTML page in place of the file
    return int(length) if length and not page else None


def fetch(label: str, file: WeightsFile, size: int | None, progress: Progress) -> None:
    """Download a file to the path where its library looks for it.

    Args:
        label: Label of the model, for progress and messages.
        file: The file.
        size: Its size in bytes, for progress, if known.
        progress: Where progress is shown.

    Raises:
        UsageError: The download is incomplete or has a wrong digest.
        OSError: The download failed. A library's own downloader may raise other errors.
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
    """Copy a URL to a file; return where it broke off (None if complete) and the SHA-256 of what was received."""
    state, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open("wb") as out:
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
