"""Weights are loaded under old and new names and for any image size; an error for others names their file."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.vision_transformer import VisionTransformer

from bench_core.errors import UsageError
from bench_models.ensemble import Ensemble
from bench_models.libraries import checkpoint
from bench_models.libraries import torchvision as torchvision_models
from bench_models.libraries.preprocessing import preset_of
from bench_models.libraries.torchvision import with_current_names
from bench_models.libraries.weights import read_checkpoint

from .conftest import Caches
from .stand_ins import put_timm, put_torchvision, with_random_statistics

ARCHITECTURES = ("mobilenet_v2", "mobilenet_v3_small", "densenet121", "resnet18", "swin_t", "googlenet", "vit_b_16")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_current_names_are_unchanged(name: str) -> None:
    with torch.device("meta"):
        state = torchvision_models.construct(name).state_dict()
    assert list(with_current_names(state)) == list(state)


def test_old_names_of_densenet_become_current() -> None:
    old = {
        "features.denseblock1.denselayer12.norm.1.running_mean": torch.zeros(1),
        "module.model.features.denseblock1.denselayer2.conv.2.weight": torch.ones(1),
        "features.1.conv.1.weight": torch.ones(1),
    }
    assert list(with_current_names(old)) == [
        "features.denseblock1.denselayer12.norm1.running_mean",
        "module.model.features.denseblock1.denselayer2.conv2.weight",
        "features.1.conv.1.weight",
    ]


@pytest.fixture
def small_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace torchvision's transformers by transformers with one narrow layer."""

    def make(name: str, weights: None, image_size: int = 224, num_classes: int = 1000) -> nn.Module:
        return with_random_statistics(VisionTransformer(image_size, 16, 1, 1, 8, 8, num_classes=num_classes))

    monkeypatch.setattr("torchvision.models.get_model", make)


def published(caches: Caches, name: str, weights: str) -> Path:
    """Return the path of a file in torchvision's cache."""
    file = caches.torch / "hub" / "checkpoints" / get_model_weights(name)[weights].url.rpartition("/")[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def test_a_transformer_is_made_for_the_side_of_its_weights(small_transformers: None, caches: Caches) -> None:
    torch.manual_seed(0)
    plain = torchvision_models.construct("vit_b_16", 384)
    torch.save(plain.state_dict(), published(caches, "vit_b_16", "IMAGENET1K_SWAG_E2E_V1"))
    model = torchvision_models.build("vit_b_16", "IMAGENET1K_SWAG_E2E_V1")
    images = torch.rand(1, 3, 384, 384)
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain(model.prepared(images)))
    assert model.prepared(torch.rand(1, 3, 224, 224)).shape[-1] == 384


def test_a_transformer_is_made_for_the_side_of_its_options(
    small_transformers: None, caches: Caches, tmp_path: Path
) -> None:
    torch.save(torchvision_models.construct("vit_b_16", 64).state_dict(), tmp_path / "a.pt")
    model = checkpoint.build("torchvision:vit_b_16", str(tmp_path / "a.pt"), side=64)
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (10, r"fc\.weight has shape \(10, 512\), the network needs \(1000, 512\) \(another architecture\?\)$"),
        (None, r"has no conv1\.weight, which the network needs; it has x \(another architecture\?\)$"),
    ],
)
def test_torchvision_weights_that_do_not_fit_are_named(caches: Caches, outputs: int | None, message: str) -> None:
    file = published(caches, "resnet18", "IMAGENET1K_V1")
    torch.save(get_model("resnet18", num_classes=outputs).state_dict() if outputs else {"x": torch.ones(1)}, file)
    with pytest.raises(UsageError, match=rf"^weights: {file}:? {message}"):
        torchvision_models.build("resnet18", "IMAGENET1K_V1")


def test_timm_weights_that_do_not_fit_are_named(caches: Caches) -> None:
    timm = pytest.importorskip("timm")
    from bench_models.libraries import timm as timm_models

    put_timm(caches.torch, caches.hub, "legacy_seresnet18.in1k")
    (file,) = (caches.torch / "hub" / "checkpoints").iterdir()
    torch.save(timm.create_model("test_byobnet").state_dict(), file)
    with pytest.raises(UsageError, match=rf"^weights: {file} does not fit the network: Missing key[^\n]+ \.\.\.$"):
        timm_models.build("legacy_seresnet18.in1k")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_damaged_weights_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"^weights: .*{name}: not a readable file of weights: [^\n]+$"):
        read_checkpoint(tmp_path / name)


def test_members_of_different_classes_are_reported_in_one_line() -> None:
    ensemble = Ensemble([nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(12, 10))], "logits")
    with pytest.raises(UsageError, match=r"^ensemble: members: found members of 12, 10 classes"):
        ensemble(torch.rand(2, 3, 2, 2))


def test_timms_own_interpolation_is_kept_unless_another_is_given(caches: Caches, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    network = with_random_statistics(timm.create_model("test_byobnet"))
    assert preset_of(network)["interpolation"] == "bicubic", "another default than bench's, or this test shows nothing"
    torch.save(network.state_dict(), tmp_path / "a.pt")
    options = {"architecture": "timm:test_byobnet", "file": str(tmp_path / "a.pt")}
    assert checkpoint.build(**options).interpolation == "bicubic"
    assert checkpoint.build(**options, interpolation="bilinear").interpolation == "bilinear"


def test_a_pretrained_network_can_resize_as_another_evaluation_did(caches: Caches) -> None:
    """The choice changes the logits of images of another size, and so is part of the network's identity."""
    images = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(0))
    put_torchvision(caches.torch, "squeezenet1_1")
    own, other = (
        torchvision_models.build("squeezenet1_1", "IMAGENET1K_V1", **given)
        for given in ({}, {"interpolation": "bicubic"})
    )
    assert (own.interpolation, other.interpolation) == ("bilinear", "bicubic")
    assert not torch.equal(own(images), other(images))
    made = [torchvision_models.identity("squeezenet1_1", "IMAGENET1K_V1", given) for given in (None, "bicubic")]
    assert made[1] == {**made[0], "interpolation": "bicubic"}

    pytest.importorskip("timm")
    from bench_models.libraries import timm as timm_models

    put_timm(caches.torch, caches.hub, "test_byobnet.r160_in1k")
    for given, expected in (({}, "bicubic"), ({"interpolation": "bilinear"}, "bilinear")):
        assert timm_models.build("test_byobnet.r160_in1k", **given).interpolation == expected
        assert ("interpolation" in timm_models.identity("test_byobnet.r160_in1k", **given)) == bool(given)
