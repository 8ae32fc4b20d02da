"""Weights from the user's files: which are read, how their entries are mapped, which are refused and why."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench_core.errors import UsageError
from bench_models.libraries import checkpoint
from bench_models.libraries.torchvision import construct
from bench_models.libraries.weights import read_checkpoint

from .conftest import Caches
from .stand_ins import Harm, settled

CLASSES = 10


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(3)
    return settled(construct("resnet18", num_classes=CLASSES))


def answers(file: Path, **options: object) -> torch.Tensor:
    with torch.no_grad():
        model = checkpoint.build("torchvision:resnet18", str(file), **{"classes": CLASSES, "side": 32, **options})
        return model(images())


def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def expected(network: nn.Module, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        return network((images() - mean) / std)


PLAIN = {"mean": [0.0] * 3, "std": [1.0] * 3}


def test_a_plain_state_dict_is_loaded_with_the_preprocessing_asked_for(network, caches: Caches, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    torch.testing.assert_close(answers(tmp_path / "a.pt", **PLAIN), expected(network), atol=1e-4, rtol=1e-4)
    other = answers(tmp_path / "a.pt", mean=[0.5] * 3, std=[0.5] * 3)
    torch.testing.assert_close(other, expected(network, 0.5, 0.5), atol=1e-4, rtol=1e-4)


def test_a_checkpoint_of_the_robustness_library_is_loaded(network, caches: Caches, tmp_path: Path) -> None:
    """Salman et al. (2020): two copies of the network and the normaliser's constants, in a checkpoint of a training."""
    state = {f"module.model.{name}": value for name, value in network.state_dict().items()}
    state |= {f"module.attacker.model.{name}": value * 0 for name, value in network.state_dict().items()}
    state |= {"module.normalizer.new_mean": torch.zeros(3, 1, 1)}
    whole = {"model": state, "epoch": 90, "args": argparse.Namespace(arch="resnet18"), "acc": np.float64(0.5)}
    torch.save(whole, tmp_path / "a.ckpt")
    found = answers(tmp_path / "a.ckpt", prefix="module.model.", **PLAIN)
    torch.testing.assert_close(found, expected(network), atol=1e-4, rtol=1e-4)
    with pytest.raises(UsageError, match=r'try prefix = "module\.(attacker\.)?model\."'):
        answers(tmp_path / "a.ckpt")
    with pytest.raises(UsageError, match="no state dict at ema; it holds: model, epoch, args, acc"):
        answers(tmp_path / "a.ckpt", key="ema", prefix="module.model.")


def test_a_background_class_is_cut_off(network, caches: Caches, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    found = answers(tmp_path / "a.pt", classes=CLASSES - 1, label_offset=1, **PLAIN)
    torch.testing.assert_close(found, expected(network)[:, 1:], atol=1e-4, rtol=1e-4)
    with pytest.raises(
        UsageError, match=r"fc.weight has shape \(10, 512\), the network needs \(9, 512\).*label_offset"
    ):
        answers(tmp_path / "a.pt", classes=CLASSES - 1)


def test_a_timm_architecture_has_timms_preprocessing(caches: Caches, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    plain = settled(timm.create_model("test_byobnet", num_classes=5))
    torch.save({"state_dict": plain.state_dict()}, tmp_path / "a.pt")
    model = checkpoint.build("timm:test_byobnet", str(tmp_path / "a.pt"), classes=4, label_offset=1)
    given = torch.rand(1, 3, *plain.pretrained_cfg["input_size"][1:])
    mean, std = (torch.tensor(plain.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(model(given), plain((given - mean) / std)[:, 1:], atol=1e-4, rtol=1e-4)


def test_the_digest_of_the_file_is_checked(network, caches: Caches, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    digest = hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()
    given = {"architecture": "torchvision:resnet18", "file": str(tmp_path / "a.pt")}
    assert checkpoint.identity(**given, sha256=digest)["weights"] == [digest]
    with pytest.raises(UsageError, match=f"sha256: .*a.pt has the digest {digest}, not {'0' * 64}"):
        checkpoint.identity(**given, sha256="0" * 64)
    assert checkpoint.identity(**given, prefix="a.") != checkpoint.identity(**given, prefix="b.")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet18", 'found "resnet18" \\(try "torchvision:resnet50"'),
        ("torchvision:resnet81", 'torchvision has no "resnet81"'),
        ("robustbench:cifar10/Linf/Nobody2020", 'unknown network "Nobody2020"'),
        ("robustbench:mnist/Linf/Standard", 'robustbench has no dataset "mnist"'),
    ],
)
def test_an_unknown_architecture_is_reported_without_its_file(architecture: str, message: str, caches: Caches) -> None:
    if architecture.startswith("robustbench"):
        pytest.importorskip("timm")
    with pytest.raises(UsageError, match=message):
        checkpoint.identity(architecture, "nowhere.pt")


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(1)}, "more": Harm(tmp_path / "ran")}, tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r"a\.pt: refused: it is a pickle that imports (getattr|pathlib)"):
        read_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_a_file_without_weights_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("<html>not found</html>")
    with pytest.raises(UsageError, match=r"a\.pt: not a readable file of weights"):
        read_checkpoint(tmp_path / "a.pt")
