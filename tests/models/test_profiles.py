"""Every model of the profiles, loaded offline from random weights in its library's cache."""

import gc
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision

from bench_core.cli import main
from bench_core.registry import Registry
from bench_core.suite.find import suites_folder
from bench_core.suite.load import load_suite
from bench_core.suite.merge import read_toml
from bench_models.libraries import checkpoint

from .conftest import Caches
from .stand_ins import put_cifar, put_pictures, put_timm, put_torchvision, with_random_statistics

IMAGENET = read_toml(suites_folder() / "profiles" / "imagenet.toml")["models"]
QUICK = {"AlexNet", "RN-18-adv", "IncV3ens3"}
SUITE = """
title = "one model"
profiles = ["imagenet"]
[on.imagenet]
targets = ["{label}"]
images = {{ count = 1, rule = "all", models = ["{label}"] }}
[metrics]
clean = {{ recipe = "clean_accuracy" }}
[[tables]]
name = "clean"
rows = ["target"]
columns = []
value = "clean.accuracy"
"""


def put(entry: dict[str, object], caches: Caches, here: Path) -> tuple[torch.nn.Module, int]:
    """Save random weights where the entry's library looks; return the network and the side of its images."""
    if entry["recipe"] == "torchvision":
        return put_torchvision(caches.torch, str(entry["name"])), 224
    if entry["recipe"] == "timm":
        network = put_timm(caches.torch, caches.hub, str(entry["name"]))
        return network, network.pretrained_cfg["input_size"][-1]
    torch.manual_seed(1)
    network, preset = checkpoint.construct(str(entry["architecture"]), 1000 + int(entry.get("label_offset", 0)))
    network, prefix = with_random_statistics(network), str(entry.get("prefix", ""))
    file = here / str(entry["file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {f"{prefix}{name}": value for name, value in network.state_dict().items()}}, file)
    assert preset is not None
    return network, preset["side"]


@pytest.mark.parametrize(
    "label", [label if label in QUICK else pytest.param(label, marks=pytest.mark.slow) for label in IMAGENET]
)
def test_a_model_of_the_imagenet_profile_is_loaded_as_its_library_would(
    label: str, caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Registry
) -> None:
    """Its logits are those of the library's own network, at its true input size."""
    entry = {key: value for key, value in IMAGENET[label].items() if key != "expected_accuracy"}
    for needed in (entry["recipe"], entry.get("architecture", entry["recipe"]).partition(":")[0]):
        if needed not in installed.names("models"):
            pytest.skip(f"{needed} is not installed")
    monkeypatch.chdir(tmp_path)
    plain, side = put(entry, caches, tmp_path)
    offer = installed.find("models", entry.pop("recipe"), "", "")
    options, faults = offer.check(entry, "imagenet.toml", label)
    assert not faults
    assert all(Path(file.path).is_file() for file in offer.recipe.files(**options))
    assert "missing" not in offer.recipe.identity(**options)["weights"]
    model = offer.build(**options)
    images = torch.rand(1, 3, side, side)
    offset = int(entry.get("label_offset", 0))
    with torch.no_grad():
        expected = plain(model.prepared(images))[:, offset:]
        actual = model(images)
    assert actual.shape == (1, 1000)
    assert torch.allclose(actual, expected, atol=1e-4 * float(expected.abs().max().clamp(min=1)))
    assert model.side == side
    del plain, model
    gc.collect()


@pytest.fixture
def offline(
    caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Call the command line without a network; give the exit code, the output and the errors."""

    def refused(*_: object) -> None:
        raise OSError("this test is offline")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        return int(left.value.code or 0), *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refused)
    return call


def test_a_suite_runs_on_imagenets_folders_offline(offline, caches: Caches, tmp_path: Path) -> None:
    """The command line, with folders of two ImageNet classes and weights in torch's cache."""
    put_torchvision(caches.torch, "resnet34")
    put_pictures(tmp_path / "val", {"n01440764": 2, "n15075141": 1}, (80, 60), ".JPEG")
    (tmp_path / "one.toml").write_text(SUITE.format(label="RN-34"))
    arguments = ["run", "one.toml", "--data", "val", "--executor", "inline", "--out", "out", "--format", "csv"]
    code, out, errors = offline(*arguments)
    assert code == 0, errors
    assert "RN-34" in out


def test_missing_weights_are_reported_in_one_line_offline(offline, tmp_path: Path) -> None:
    put_pictures(tmp_path / "val", {"n01440764": 1}, (80, 60), ".JPEG")
    (tmp_path / "one.toml").write_text(SUITE.format(label="RN-34"))
    code, _, errors = offline("run", "one.toml", "--data", "val", "--out", "out")
    assert code == 2
    (line,) = errors.strip().splitlines()
    assert "models.RN-34: weights are not on this machine: looked for" in line
    assert "resnet34-b627a593.pth (try bench fetch one.toml --profile imagenet)" in line


def test_the_cifar10_profile_runs_on_the_archive(
    caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Registry
) -> None:
    """Random weights do not reach the expected accuracy, and the run stops there."""
    from bench_core.errors import UsageError
    from bench_core.run_suite import run

    if not {"robustbench"} <= set(installed.names("models")) or "autoattack" not in installed.names("attacks"):
        pytest.skip("installed without the extras")
    from .test_robustbench import entry
    from .test_robustbench import put as put_entry

    monkeypatch.chdir(tmp_path)
    put_cifar(tmp_path / "data", "cifar-10-batches-py", "test_batch", "labels")
    put_entry(tmp_path / "models", "Wong2020Fast", entry("Wong2020Fast").state_dict())
    overrides = ['sources=["Wong2020"]', f'data.root="{tmp_path / "data"}"', "budgets.linf.steps=1"]
    suite = load_suite("robust_accuracy", "cifar10", overrides)
    with pytest.raises(UsageError, match=r"models\.Wong2020\.expected_accuracy: expected 83\.3%, found [\d.]+% of 12"):
        run(suite, out=tmp_path / "out", registry=installed, executor="inline")


def test_expected_accuracies_of_torchvision_are_those_of_the_installed_package() -> None:
    for label, entry in IMAGENET.items():
        if entry["recipe"] == "torchvision":
            weights = torchvision.models.get_model_weights(entry["name"])[entry["weights"]]
            published = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
            assert entry["expected_accuracy"] == pytest.approx(published / 100), label


def test_the_networks_without_an_expected_accuracy_are_listed_on_the_page() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "models.md").read_text().split())
    listed = page.partition("that could be compared for ")[2].partition("If you replace")[0]
    named = {label for label in IMAGENET if re.search(rf"(?<![\w-]){re.escape(label)}(?![\w-])", listed)}
    assert named == {label for label, entry in IMAGENET.items() if "expected_accuracy" not in entry}


def test_a_network_of_another_library_in_place_of_one_loses_its_expected_accuracy() -> None:
    other = 'models.RN-18={recipe="torchvision", name="resnet18", weights="IMAGENET1K_V1"}'
    suite = load_suite("robustness_orders", "imagenet", [other])
    assert suite.models["RN-18"].recipe == "torchvision"
    assert suite.models["RN-18"].expected_accuracy is None
    assert suite.models["RN-18-adv"].expected_accuracy == 0.4211
