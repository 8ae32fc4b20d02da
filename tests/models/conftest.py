"""Empty caches for the tests."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Caches:
    torch: Path
    hub: Path


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caches:
    """Redirect the caches of torch, the hub and bench to empty folders, and unset `BENCH_DATA`."""
    paths = Caches(tmp_path / "torch", tmp_path / "hub")
    monkeypatch.setenv("TORCH_HOME", str(paths.torch))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(paths.hub))  # for workers; the hub's library reads it when it is imported
    monkeypatch.delenv("BENCH_DATA", raising=False)
    if importlib.util.find_spec("huggingface_hub"):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(paths.hub))
    return paths
