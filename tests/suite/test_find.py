"""A suite that is not there: what the message suggests."""

from pathlib import Path

import pytest

from bench_core.errors import UsageError
from bench_core.suite.find import find_suite


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("owm.toml", "own.toml"),
        ("owm", "own.toml"),
        ("own", "own.toml"),
        ("mine/owm.toml", "mine/owns.toml"),
        ("transfer_tabel1.toml", "transfer_table1"),
        ("transfer_tabel2.toml", "transfer_table2.toml"),
        ("pyprojekt.toml", None),
        ("mine.toml", None),
    ],
)
def test_the_nearest_name_is_that_of_a_file_beside_it_or_of_an_own_suite(
    name: str, meant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "folder.toml").mkdir()
    for file in ("own.toml", "mine/owns.toml", "transfer_table2.toml", "pyproject.toml"):
        (tmp_path / file).touch()
    with pytest.raises(UsageError) as raised:
        find_suite(name)
    (fault,) = raised.value.faults
    assert fault.message.startswith("no such suite file (")
    assert (f'did you mean "{meant}"?' in fault.message) == (meant is not None)
    assert meant or "did you mean" not in fault.message
