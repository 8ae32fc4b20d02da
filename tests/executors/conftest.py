"""Fixtures for the tests of executors."""

from collections import Counter

import pytest

from bench_core.store import Store


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each job is stored."""
    counted: Counter[str] = Counter()
    original = Store.put

    def put(self, address, bundle):
        counted[address] += 1
        original(self, address, bundle)

    monkeypatch.setattr(Store, "put", put)
    return counted
