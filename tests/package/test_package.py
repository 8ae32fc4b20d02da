"""The wheel holds exactly five import packages and the suites; the files say where things may be imported from."""

import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    build = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return zipfile.ZipFile(folder / build.build_wheel(str(folder)))


def test_the_wheel_has_five_packages_and_no_more(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "bench_core", "bench_attacks", "bench_metrics", "bench_models", "bench_publishers",
    }  # fmt: skip


def test_the_wheel_has_suites_weights_cards_and_licences(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    for expected in (
        "bench_core/suites/transfer_table1.toml", "bench_core/suites/profiles/embedded.toml",
        "bench_core/suites/papers/transfer_tables.csv", "bench_models/embedded/weights/VGG.safetensors",
        "bench_models/embedded/cards/VGG.json", "bench_models/embedded/images.safetensors",
    ):  # fmt: skip
        assert expected in names
    assert sum("licenses" in name for name in names) == 2
    assert sum(info.file_size for info in wheel.infolist()) < 16 * 2**20
    assert not any("training" in name.split("/") for name in names)


def test_the_source_distribution_leaves_results_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = pytest.importorskip("hatchling.build")
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / build.build_sdist(str(tmp_path))) as archive:
        assert not any("results/store" in name for name in archive.getnames())
