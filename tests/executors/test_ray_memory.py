"""`--memory` reaches the workers of a Ray cluster: they refuse what cannot fit; more memory gives the usual results."""

import os
import re
from pathlib import Path

import pytest

from bench_core import run
from bench_core.errors import UsageError
from tests.commands.test_cli import GOOD

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # before ray is imported: the clusters of these tests have no token
pytest.importorskip("ray")


@pytest.mark.slow
def test_workers_of_ray_keep_a_limit_of_memory(tmp_path: Path) -> None:
    suite = tmp_path / "small.toml"
    suite.write_text(GOOD)
    with pytest.raises(UsageError, match=r"^--memory: 100 MiB is too little to .* \(try \d+M\)$") as refused:
        run(str(suite), out=tmp_path / "ray", executor="ray", workers=1, memory=100 * 2**20)
    (enough,) = re.findall(r"try (\d+)M", str(refused.value))
    limited = run(str(suite), out=tmp_path / "ray", executor="ray", workers=1, memory=2 * int(enough) * 2**20)
    usual = run(str(suite), out=tmp_path / "inline", executor="inline")
    assert limited.complete, limited.voids
    assert [table.rows for table in limited.tables] == [table.rows for table in usual.tables]
