"""Weights from the user's files: which are read, how their entries are mapped, which are rejected and why."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench_core.errors import UsageError
from bench_models.libraries import checkpoint
from bench_models.libraries import torchvision as torchvision_models
from bench_models.libraries.torchvision import construct
from bench_models.libraries.weights import read_checkpoint

from .conftest import Caches
from .stand_ins import Harm, put_torchvision, with_random_statistics

CLASSES = 10


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(3)
    return with_random_statistics(construct("resnet18", num_classes=CLASSES))


def load_and_run(file: Path, **options: object) -> torch.Tensor:
    with torch.no_grad():
        model = checkpoint.build("torchvision:resnet18", str(file), **{"classes": CLASSES, "side": 32, **options})
        return model(images())


def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def expected(network: nn.Module, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        return network((images() - mean) / std)


PLAIN = {"mean": [0.0] * 3, "std": [1.0] * 3}


def test_a_plain_state_dict_is_loaded_with_the_given_preprocessing(network, caches: Caches, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    torch.testing.assert_close(load_and_run(tmp_path / "a.pt", **PLAIN), expected(network), atol=1e-4, rtol=1e-4)
    shifted = load_and_run(tmp_path / "a.pt", mean=[0.5] * 3, std=[0.5] * 3)
    torch.testing.assert_close(shifted, expected(network, 0.5, 0.5), atol=1e-4, rtol=1e-4)


def spoilt(network: nn.Module) -> nn.Module:
    """Rewrite a network into one with another function."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            module.bias.data += 1
    return network


def test_a_network_that_a_rewrite_would_change_stays_as_it_is(
    network, caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("rewrite", "verify"):
        monkeypatch.setattr(f"bench_core.lean.{module}.rewrite", spoilt)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    torch.testing.assert_close(load_and_run(tmp_path / "a.pt", **PLAIN), expected(network), atol=1e-4, rtol=1e-4)
    plain = put_torchvision(caches.torch, "squeezenet1_1")
    inputs = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        built = torchvision_models.build("squeezenet1_1", "IMAGENET1K_V1")
        assert torch.equal(built.network(inputs), plain(inputs))


def test_a_checkpoint_of_the_robustness_library_is_loaded(network, caches: Caches, tmp_path: Path) -> None:
    """Salman et al. (2020): a training checkpoint with two copies of the network and constants for normalisation."""
    state = {f"module.model.{name}": value for name, value in network.state_dict().items()}
    state |= {f"module.attacker.model.{name}": value * 0 for name, value in network.state_dict().items()}
    state |= {"module.normalizer.new_mean": torch.zeros(3, 1, 1)}
    content = {"model": state, "epoch": 90, "args": argparse.Namespace(arch="resnet18"), "acc": np.float64(0.5)}
    torch.save(content, tmp_path / "a.ckpt")
    actual = load_and_run(tmp_path / "a.ckpt", prefix="module.model.", **PLAIN)
    torch.testing.assert_close(actual, expected(network), atol=1e-4, rtol=1e-4)
    with pytest.raises(UsageError, match=r'try prefix = "module\.(attacker\.)?model\."'):
        load_and_run(tmp_path / "a.ckpt")
    with pytest.raises(UsageError, match="no state dict at ema; it holds: model, epoch, args, acc"):
        load_and_run(tmp_path / "a.ckpt", key="ema", prefix="module.model.")


def deeper(**options: object) -> nn.Module:
    torch.manual_seed(4)
    return with_random_statistics(construct("resnet34", num_classes=CLASSES))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_of_a_deeper_network_is_refused_with_its_architecture(
    caches: Caches, tmp_path: Path, prefix: str
) -> None:
    """Every entry of a ResNet-18 is in the file of a ResNet-34, with the same shape."""
    torch.save({f"{prefix}{name}": value for name, value in deeper().state_dict().items()}, tmp_path / "a.pt")
    expected = rf"has \d+ entries that the network lacks: {prefix}layer1\.2\.[^\n]+ \.\.\. "
    with pytest.raises(UsageError, match=expected + r'\(try architecture = "torchvision:resnet34"\)$'):
        load_and_run(tmp_path / "a.pt", prefix=prefix, **PLAIN)


def test_a_file_of_a_shallower_network_is_refused_with_its_architecture(
    network, caches: Caches, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r'has no layer1\.2\.[^\n]+ \(try architecture = "torchvision:resnet18"\)$'):
        checkpoint.build("torchvision:resnet34", str(tmp_path / "a.pt"), classes=CLASSES)
    with pytest.raises(UsageError, match=r'[^\n]+ \(try architecture = "torchvision:resnet18"\)$'):
        checkpoint.build("torchvision:wide_resnet50_2", str(tmp_path / "a.pt"), classes=CLASSES)


def test_a_timm_file_of_another_network_is_refused_with_its_architecture(caches: Caches, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("resnet14t", num_classes=5).state_dict(), tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r'\(try architecture = "timm:resnet14t"\)$'):
        checkpoint.build("timm:resnet10t", str(tmp_path / "a.pt"), classes=5)


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (("0.mean", "0.std"), "1."),
        (("normalizer.mean", "normalizer.std"), "model."),
        (("module.normalizer.new_mean", "module.normalizer.new_std"), "module.model."),
        (("mean", "std"), ""),
        (("mu", "sigma"), ""),
    ],
)
def test_a_normaliser_in_the_file_is_not_replaced_by_imagenets(
    network, caches: Caches, tmp_path: Path, names: tuple[str, str], prefix: str
) -> None:
    mean, std = [0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]
    constants = {name: torch.tensor(value).view(3, 1, 1) for name, value in zip(names, (mean, std), strict=True)}
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    torch.save({**constants, **state}, tmp_path / "a.pt")
    expected = rf"normalises images by {names[0]}, {names[1]}, which is not what would be used"
    expected += r" \(try mean = \[0\.4914, 0\.4822, 0\.4465\], std = \[0\.2471, 0\.2435, 0\.2616\]\)$"
    with pytest.raises(UsageError, match=expected):
        load_and_run(tmp_path / "a.pt", prefix=prefix)
    given = load_and_run(tmp_path / "a.pt", prefix=prefix, mean=mean, std=std)
    with torch.no_grad():
        plain = network((images() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    torch.testing.assert_close(given, plain, atol=1e-4, rtol=1e-4)


def test_a_normaliser_that_is_imagenets_own_is_accepted(network, caches: Caches, tmp_path: Path) -> None:
    """Also in grey levels."""
    constants = {"0.mean": torch.tensor([123.675, 116.28, 103.53]), "0.std": torch.tensor([0.229, 0.224, 0.225])}
    torch.save({**constants, **{f"1.{name}": value for name, value in network.state_dict().items()}}, tmp_path / "a.pt")
    assert load_and_run(tmp_path / "a.pt", prefix="1.").shape == (2, CLASSES)


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("mean", [123.675, 116.28, 103.53], r"images are in \[0, 1\] \(try mean = \[0\.485, 0\.456, 0\.406\]\)"),
        ("std", [58.395, 57.12, 57.375], r"images are in \[0, 1\] \(try std = \[0\.229, 0\.224, 0\.225\]\)"),
        ("mean", [0.5], "of 1 channels"),
        ("mean", [], "of 0 channels"),
        ("std", [0.2, 0.2, 0.0], "try std"),
        ("mean", [-0.5, 0.5, 0.5], "try mean"),
        ("std", [0.5, 0.5, float("nan")], "try std"),
    ],
)
def test_a_normalisation_of_other_units_or_channels_is_refused_when_planned(
    option: str, values: list[float], message: str, tmp_path: Path, caches: Caches
) -> None:
    with pytest.raises(UsageError, match=f"^{option}: found .*{message}"):
        checkpoint.identity("torchvision:resnet18", str(tmp_path / "a.pt"), **{option: values})


@pytest.mark.parametrize("option", [{"mean": [0.5] * 3}, {"side": 64}, {"interpolation": "bicubic"}])
def test_preprocessing_that_would_be_ignored_is_refused(option: dict[str, object], caches: Caches) -> None:
    pytest.importorskip("timm")
    (name,) = option
    with pytest.raises(UsageError, match=rf"^{name}: robustbench:\S+ does its own preprocessing \(remove {name}\)"):
        checkpoint.identity("robustbench:cifar10/Linf/Wong2020Fast", "a.pt", **option)


def test_an_average_of_the_weights_beside_them_has_to_be_chosen(network, caches: Caches, tmp_path: Path) -> None:
    average = {name: value * 2 for name, value in network.state_dict().items()}
    whole = {"state_dict": network.state_dict(), "state_dict_ema": average, "optimizer": {"state": {0: torch.ones(1)}}}
    torch.save(whole, tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r'state dicts: state_dict, state_dict_ema \(try key = "state_dict_ema", or'):
        load_and_run(tmp_path / "a.pt", **PLAIN)
    found = load_and_run(tmp_path / "a.pt", key="state_dict", **PLAIN)
    torch.testing.assert_close(found, expected(network), atol=1e-4, rtol=1e-4)


def test_weights_of_whole_numbers_are_refused(network, caches: Caches, tmp_path: Path) -> None:
    state = {**network.state_dict(), "conv1.weight": torch.ones(64, 3, 7, 7, dtype=torch.int8)}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r"conv1\.weight is torch\.int8, the network needs torch\.float32"):
        load_and_run(tmp_path / "a.pt", **PLAIN)


def test_a_background_class_is_cut_off(network, caches: Caches, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    actual = load_and_run(tmp_path / "a.pt", classes=CLASSES - 1, label_offset=1, **PLAIN)
    torch.testing.assert_close(actual, expected(network)[:, 1:], atol=1e-4, rtol=1e-4)
    with pytest.raises(
        UsageError, match=r"fc.weight has shape \(10, 512\), the network needs \(9, 512\).*label_offset"
    ):
        load_and_run(tmp_path / "a.pt", classes=CLASSES - 1)


def test_a_timm_architecture_has_timms_preprocessing(caches: Caches, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    plain = with_random_statistics(timm.create_model("test_byobnet", num_classes=5))
    torch.save({"state_dict": plain.state_dict()}, tmp_path / "a.pt")
    model = checkpoint.build("timm:test_byobnet", str(tmp_path / "a.pt"), classes=4, label_offset=1)
    images = torch.rand(1, 3, *plain.pretrained_cfg["input_size"][1:])
    mean, std = (torch.tensor(plain.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain((images - mean) / std)[:, 1:], atol=1e-4, rtol=1e-4)


def test_the_digest_of_the_file_is_checked(network, caches: Caches, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pt")
    digest = hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()
    options = {"architecture": "torchvision:resnet18", "file": str(tmp_path / "a.pt")}
    assert checkpoint.identity(**options, sha256=digest)["weights"] == [digest]
    with pytest.raises(UsageError, match=f"sha256: .*a.pt has the digest {digest}, not {'0' * 64}"):
        checkpoint.identity(**options, sha256="0" * 64)
    assert checkpoint.identity(**options, prefix="a.") != checkpoint.identity(**options, prefix="b.")


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
