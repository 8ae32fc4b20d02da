"""Torchvision and timm from files where the libraries look for them; folders of images; preprocessing."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision.models import get_model, get_model_weights

from bench_core.errors import UsageError
from bench_models import timm_models, torchvision_models
from bench_models.imagefolder import ImageFolder
from bench_models.preprocessing import Preprocessed


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def put(cache: Path, name: str, old_names: bool = False) -> torch.nn.Module:
    """Put random weights of a network where torchvision looks for the real ones."""
    torch.manual_seed(1)
    own = {"init_weights": False, "transform_input": True, "aux_logits": True} if name == "inception_v3" else {}
    network = get_model(name, weights=None, **own).eval()
    state = network.state_dict()
    if old_names:
        state = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
        assert any("norm.1." in key for key in state)
    torch.save(state, cache / Path(get_model_weights(name)["IMAGENET1K_V1"].url).name)
    return network


@pytest.mark.parametrize(
    ("name", "side", "old"), [("resnet18", 224, False), ("densenet121", 224, True), ("inception_v3", 299, False)]
)
def test_a_torchvision_network_is_loaded_from_the_cache_and_owns_its_preprocessing(
    name, side, old, cache: Path
) -> None:
    plain = put(cache, name, old)
    model = torchvision_models.build(name, "IMAGENET1K_V1").eval()
    images = torch.rand(2, 3, side, side)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(model(images), plain((images - mean) / std), atol=1e-4)
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


def test_missing_weights_and_unknown_names_are_one_line(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"not on this machine: looked for .*resnet18-.*\.pth"):
        torchvision_models.build("resnet18", "IMAGENET1K_V1")
    with pytest.raises(UsageError, match=r'unknown network "resnet81" \(did you mean "resnet18"'):
        torchvision_models.build("resnet81", "IMAGENET1K_V1")
    with pytest.raises(UsageError, match=r'unknown weights "V1"'):
        torchvision_models.build("resnet18", "V1")


def test_without_timm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_models.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r'pip install "adversarial-bench\[timm\]"'):
        timm_models.build("inception_v3.tf_in1k")
    assert timm_models.identity("inception_v3.tf_in1k")["timm"] == "not installed"


def test_timm_weights_that_are_not_cached_are_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match=r"not on this machine: looked for timm/resnet18\.a1_in1k/model\.safetensors"):
        timm_models.build("resnet18.a1_in1k")


def test_preprocessing_resizes_and_normalises_differentiably() -> None:
    model = Preprocessed(torch.nn.Flatten(), [0.1, 0.2, 0.3], [0.5, 0.25, 1.0], 4)
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    small = functional.interpolate(images, (4, 4), mode="bilinear", antialias=True)
    expected = torch.stack([(small[:, c] - m) / s for c, (m, s) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 1.0)])], 1)
    assert torch.allclose(model(images), expected.flatten(1))
    (gradient,) = torch.autograd.grad(model(images).sum(), images)
    assert (gradient != 0).all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for name, count in (("n02", 3), ("n01", 2)):
        (tmp_path / "val" / name).mkdir(parents=True)
        for index in range(count):
            pixels = draw.integers(0, 255, (40 + index, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "val" / name / f"{index}.png")
    (tmp_path / "classes.txt").write_text("n00\nn01\nn02\n")
    return tmp_path


def test_a_subset_of_folders_keeps_its_true_classes(folder: Path) -> None:
    data = ImageFolder(str(folder / "val"), side=16, classes=str(folder / "classes.txt"))
    assert data.labels == [1, 1, 2, 2, 2]
    images = data.load([0, 4])
    assert images.shape == (2, 3, 16, 16)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert len(set(data.ids)) == 5
    other = ImageFolder(str(folder / "val"), side=24, classes=str(folder / "classes.txt"))
    assert not set(other.ids) & set(data.ids), "another side is other pixels"
    assert len(ImageFolder(str(folder / "val"), classes=str(folder / "classes.txt"), per_class=1).ids) == 2


def test_what_is_wrong_with_a_folder_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    with pytest.raises(UsageError, match="BENCH_DATA"):
        ImageFolder()
    with pytest.raises(UsageError, match="no such folder"):
        ImageFolder(str(folder / "nowhere"))
    with pytest.raises(UsageError, match="found 2 class folders, not 1000"):
        ImageFolder(str(folder / "val"))
    (folder / "classes.txt").write_text("n01")
    with pytest.raises(UsageError, match="does not name the folder n02"):
        ImageFolder(str(folder / "val"), classes=str(folder / "classes.txt"))
    monkeypatch.setenv("BENCH_DATA", str(folder))
    assert os.environ["BENCH_DATA"]
    with pytest.raises(UsageError, match="found 1 class folders"):
        ImageFolder()
