"""The registry with the small networks."""

import pytest

from bench_core.registry import Origin, Registry, discover

from .small import Plugin


@pytest.fixture
def registry() -> Registry:
    found = discover()
    found.register(Plugin(), Origin("small", "tests", "1", "small-source"))
    return found
