"""No change makes stored results stale by accident: every suite's addresses are those of addresses.json."""

import json
import subprocess
import sys

import pytest

from . import addresses as golden

KEPT = json.loads(golden.FILE.read_text())


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, str]]:
    """Compute them in a separate process, because that masks the digests of code."""
    code = "import json; from tests.golden.addresses import found; print(json.dumps(found()))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


@pytest.mark.parametrize("suite", sorted(KEPT))
def test_a_suite_has_the_addresses_that_it_had(suite: str, found: dict[str, dict[str, str]]) -> None:
    if suite not in found:
        pytest.skip("the networks of this profile are an extra that is not installed")
    changed = {key for key in {*KEPT[suite], *found[suite]} if KEPT[suite].get(key) != found[suite].get(key)}
    assert not changed, "if the change is intended: python -m tests.golden.addresses, and give the reason in the commit"


def test_every_suite_is_kept(found: dict[str, dict[str, str]]) -> None:
    assert set(found) <= set(KEPT)
