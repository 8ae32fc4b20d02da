"""RobustBench's entries from files in its own layout."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
import torch

if not any(importlib.metadata.distributions(name="robustbench")):
    pytest.skip("robustbench is not installed", allow_module_level=True)

from bench_core.errors import UsageError
from bench_models.libraries import checkpoint
from bench_models.libraries import robustbench as robustbench_models
from bench_models.libraries.indexes import robustbench_networks
from bench_models.libraries.robustbench_import import robustbench

from .conftest import Caches
from .stand_ins import Harm, with_random_statistics
from .test_checkpoint import spoilt

NAMES = ["Standard", "Carmon2019Unlabeled", "Wong2020Fast"]


def entry(name: str) -> torch.nn.Module:
    robustbench()
    from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel
    from robustbench.model_zoo.models import model_dicts

    torch.manual_seed(0)
    return with_random_statistics(model_dicts[BenchmarkDataset.cifar_10][ThreatModel.Linf][name]["model"]())


def put(folder: Path, name: str, content: object) -> None:
    path = folder / "cifar10" / "Linf" / f"{name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_loaded_from_its_file(name: str, caches: Caches, tmp_path: Path) -> None:
    """In the published forms: under `state_dict` with the prefix of DataParallel, or plain."""
    plain = entry(name)
    state = plain.state_dict()
    published = {"state_dict": {f"module.{key}": value for key, value in state.items()}} if "Carmon" in name else state
    put(tmp_path, name, published)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = plain(images)
        scale = float(expected.abs().max())
        actual = robustbench_models.build(name, folder=str(tmp_path))(images)
        assert torch.allclose(actual, expected, atol=1e-4 * scale)
        file = str(tmp_path / "cifar10" / "Linf" / f"{name}.pt")
        prefix = "module." if "Carmon" in name else ""
        from_checkpoint = checkpoint.build(f"robustbench:cifar10/Linf/{name}", file, prefix=prefix, classes=10)
        assert torch.allclose(from_checkpoint(images), expected, atol=1e-4 * scale)
    assert len(robustbench_models.identity(name, folder=str(tmp_path))["weights"][0]) == 64


def test_an_entry_that_a_rewrite_would_change_stays_as_it_is(
    caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("rewrite", "verify"):
        monkeypatch.setattr(f"bench_core.lean.{module}.rewrite", spoilt)
    plain = entry("Wong2020Fast")
    put(tmp_path, "Wong2020Fast", plain.state_dict())
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        built = robustbench_models.build("Wong2020Fast", folder=str(tmp_path))
        torch.testing.assert_close(built(images), plain(images), atol=1e-4, rtol=1e-4)


def test_a_pickle_that_would_run_code_is_refused(caches: Caches, tmp_path: Path) -> None:
    put(tmp_path, "Wong2020Fast", {"state_dict": {}, "args": Harm(tmp_path / "ran")})
    with pytest.raises(UsageError, match=r"Wong2020Fast\.pt: refused: it is a pickle that imports (getattr|pathlib)"):
        robustbench_models.build("Wong2020Fast", folder=str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit_or_are_damaged_are_named(caches: Caches, tmp_path: Path) -> None:
    put(tmp_path, "Wong2020Fast", {"other": torch.ones(1)})
    with pytest.raises(UsageError, match=r"Wong2020Fast\.pt does not fit the network: Missing key[^\n]+$"):
        robustbench_models.build("Wong2020Fast", folder=str(tmp_path))
    (tmp_path / "cifar10" / "Linf" / "Wong2020Fast.pt").write_bytes(b"PK" * 50)
    with pytest.raises(UsageError, match=r"Wong2020Fast\.pt: not a readable file of weights: [^\n]+$"):
        robustbench_models.build("Wong2020Fast", folder=str(tmp_path))


def test_a_file_that_the_library_would_load_in_part_is_refused(caches: Caches, tmp_path: Path) -> None:
    """For this entry RobustBench ignores all differences, if the first two that are missing are mu and sigma."""
    state = entry("Wong2020Fast").state_dict()
    published = {name: value for name, value in state.items() if name not in ("mu", "sigma")}
    for change, message in (
        ({"layer9.weight": torch.ones(1)}, r"has entries that the network lacks: layer9\.weight"),
        ({}, "nothing"),
    ):
        put(tmp_path, "Wong2020Fast", published | change)
        if not change:
            robustbench_models.build("Wong2020Fast", folder=str(tmp_path))
            continue
        with pytest.raises(UsageError, match=rf"Wong2020Fast\.pt {message}[^\n]+$"):
            robustbench_models.build("Wong2020Fast", folder=str(tmp_path))


def test_mistakes_are_reported_in_one_line(caches: Caches, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"looked for .*cifar10/Linf/Standard\.pt"):
        robustbench_models.build("Standard", folder=str(tmp_path))
    with pytest.raises(UsageError, match=r'name: unknown network "Wong2020Slow" \(did you mean "Wong2020Fast"'):
        robustbench_models.identity("Wong2020Slow")
    with pytest.raises(UsageError, match='threat: cifar100 has none for "L2"'):
        robustbench_models.identity("Standard", dataset="cifar100", threat="L2")
    with pytest.raises(UsageError, match="its weights are torchvision's, timm's, or loaded elsewhere by"):
        robustbench_models.identity("Standard_R50", dataset="imagenet")


def test_the_index_is_what_the_library_lists() -> None:
    robustbench()
    from robustbench.model_zoo.models import model_dicts

    index = robustbench_networks()
    assert {dataset.value for dataset in model_dicts} == set(index)
    for dataset, threats in model_dicts.items():
        assert {threat.value for threat in threats} == set(index[dataset.value])
        for threat, entries in threats.items():
            listed = {name: entry["gdrive_id"] for name, entry in entries.items()}
            plain = {name: ids if isinstance(ids, list) else list(filter(None, [ids])) for name, ids in listed.items()}
            assert plain == index[dataset.value][threat.value]
            assert all(len(ids) > 1 for ids in listed.values() if isinstance(ids, list)), "as files() assumes"


def test_stand_ins_are_removed_after_the_import() -> None:
    before = "pkg_resources" in sys.modules
    assert robustbench().__name__ == "robustbench"
    assert ("pkg_resources" in sys.modules) is before
