"""Claims on jobs, so that two processes that run one suite on one store share its work instead of doing it twice.

A claim is a file in the job's folder of the store. Its owner touches it every few seconds. A claim that nobody has
touched for a minute, or whose owner on this machine is dead, is stale and may be taken over. In the worst case, two
processes take over a stale claim at the same moment and compute the same job: they write equal files, so that only time
is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
import threading
from pathlib import Path

from ..store import Store

TOUCH_SECONDS = 10.0
STALE_SECONDS = 60.0
NAME = ".claim"


class Claims:
    """The claims of this process on the jobs of a store. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.owner = json.dumps({"host": platform.node(), "pid": os.getpid(), "object": id(self)})
        self.held: dict[str, Path] = {}
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.toucher: threading.Thread | None = None

    def claim(self, address: str) -> bool:
        """Claim a job. Returns False if another process computes it.

        A claim that cannot be written, for example on a full disk, is granted: the job can be computed without it.
        """
        path = self.store.folder(address) / NAME
        if not self._create(path):
            if not is_stale(path):
                return False
            with contextlib.suppress(OSError):
                path.unlink()
            if not self._create(path):
                return False
        with self.lock:
            self.held[address] = path
            if self.toucher is None:
                self.toucher = threading.Thread(target=self._touch, daemon=True)
                self.toucher.start()
        return True

    def release(self, address: str) -> None:
        """Release the claim on a job that is stored or has failed."""
        with self.lock:
            path = self.held.pop(address, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # only if nothing was stored

    def close(self) -> None:
        """Release all claims."""
        self.closed.set()
        for address in list(self.held):
            self.release(address)

    def _create(self, path: Path) -> bool:
        """Create the file of a claim; return False if there is one."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(self.owner)
        except FileExistsError:
            return False
        except OSError:
            pass
        return True

    def _touch(self) -> None:
        while not self.closed.wait(TOUCH_SECONDS):
            with self.lock:
                paths = list(self.held.values())
            for path in paths:
                with contextlib.suppress(OSError):
                    os.utime(path)


def is_stale(path: Path) -> bool:
    """Return whether the owner of a claim is dead. A claim that has just been released counts as stale."""
    try:
        owner, touched = path.read_text(), path.stat().st_mtime
        with tempfile.TemporaryFile(dir=path.parent) as file:  # the time of the file system
            now = os.fstat(file.fileno()).st_mtime
    except OSError:
        return not path.exists()
    return now - touched > STALE_SECONDS or _is_dead(owner)


def _is_dead(owner: str) -> bool:
    """Return whether an owner was a process of this machine that has ended. False if unknown."""
    try:
        described = json.loads(owner)
        if described["host"] != platform.node():
            return False
        os.kill(described["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return False
