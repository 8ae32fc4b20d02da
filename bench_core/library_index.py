"""Lists what an installed library offers. The library is imported once per version, in a separate process.

Listing and planning must not import torch, but a library's networks and attacks are only known after importing it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from .files import cache_path
from .types import Json

TIMEOUT_SECONDS = 600  # for importing a library
PROGRAM = "from bench_core.library_index import print_index; print_index()"


@cache
def library_index(distribution: str, module: str) -> Json:
    """Return what the function `index()` of a module returns, without importing the module or the library here.

    `index` has no parameters, may import the library, and returns a JSON object. It runs in a separate process, once
    per installed version of the distribution and per version of the module's source. The result is cached in the folder
    `library_index` of bench's cache, which may be deleted at any time. Without a writable cache, every process that
    calls this function computes it again.

    Args:
        distribution: The name of the installed distribution, as in `pip install NAME`.
        module: The full name of the module, for example `bench_attacks.bridges.torchattacks_index`.

    Raises:
        ImportError: The distribution is not installed, or the library cannot be imported; the message is one line.
    """
    version = importlib.metadata.version(distribution)
    state = hashlib.sha256(f"{distribution} {version} {module}\n".encode())
    for source in (module, __name__):
        spec = importlib.util.find_spec(source)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"there is no module {source}")
        state.update(Path(spec.origin).read_bytes())
    file = cache_path().parent / "library_index" / f"{distribution}-{version}-{state.hexdigest()[:16]}.json"
    index = _read(file)
    if index is None:
        index = _compute(f"{distribution} {version}", module)
        _write(file, index)
    return index


def _read(file: Path) -> Json | None:
    """Return the cached index; None if it is missing or damaged."""
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return index if isinstance(index, dict) else None


def _write(file: Path, index: Json) -> None:
    """Cache an index atomically. Errors are ignored, since the index can be computed again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, suffix=".tmp", encoding="utf-8", delete=False
        ) as written:
            json.dump(index, written)
        try:
            Path(written.name).replace(file)
        except OSError:
            Path(written.name).unlink()


def _compute(library: str, module: str) -> Json:
    """Run `module.index()` in a new process with the import path of this one. Raises ImportError if it fails."""
    path = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, module],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
        index = json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise ImportError(f"{library} cannot be listed: {last[0]}") from None
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError) as error:
        raise ImportError(f"{library} cannot be listed: {error}") from None
    if not isinstance(index, dict):
        raise ImportError(
            f"{library} cannot be listed: {module}.index() returned {type(index).__name__}, not an object"
        )
    return index


def print_index() -> None:
    """Print the index of the module named on the command line, as the last line. Other output goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        index = importlib.import_module(sys.argv[1]).index()
    print(f"\n{json.dumps(index)}")
