"""Damaged and forged entries of the store: none is served, all are computed again."""

from __future__ import annotations

import hashlib
import pickle
import random
from pathlib import Path

import numpy as np

from bench_core.store import Store, pack

from .world import World

ADDRESS = hashlib.sha256(b"a job").hexdigest()


def entry() -> bytes:
    values = np.random.default_rng(0).random((25, 3)).astype(np.float32)
    return pack({"cell/row": values, "cell/flag": values[:, 0] > 0.5})


def _served(world: World, content: bytes, stem: str, headers_first: bool = True) -> str | None:
    """Put a file in the place of an entry and return what the store does wrong, or None."""
    store = Store(world.fresh())
    path = store.folder(ADDRESS) / f"{stem}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    if headers_first:
        store.cells(ADDRESS)  # reads the headers alone, and must never raise
    if store.get(ADDRESS):
        return "a damaged entry was served"
    if list(store.root.rglob("*.safetensors")):
        return "a damaged entry was not set aside"
    store.put(ADDRESS, entry())
    return None if set(store.get(ADDRESS)) == {"cell"} else "the entry cannot be computed again"


def flipped(world: World, _trial: int, draw: random.Random) -> str | None:
    """Flip one random bit of an entry."""
    whole = entry()
    content = bytearray(whole)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return _served(world, bytes(content), hashlib.sha256(whole).hexdigest())


def truncated(world: World, trial: int, _random: random.Random) -> str | None:
    """Cut an entry off after `trial` bytes."""
    whole = entry()
    return _served(world, whole[:trial], hashlib.sha256(whole).hexdigest())


class _Command:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"open({str(self.path)!r}, 'w')",)


def forged(world: World, trial: int, draw: random.Random) -> str | None:
    """Put bytes named by their own digest in the place of an entry; the first are a pickle that runs code."""
    proof = world.fresh().with_suffix(".proof")
    content = pickle.dumps(_Command(proof)) if trial == 0 else draw.randbytes(draw.randrange(400))
    if trial % 4 == 3:  # a header that promises what is not there
        content = (8 * trial).to_bytes(8, "little") + content
    wrong = _served(world, content, hashlib.sha256(content).hexdigest(), trial % 2 == 1)
    return "code was run" if proof.exists() else wrong
