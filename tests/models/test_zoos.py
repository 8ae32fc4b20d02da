"""Networks of torchvision and timm: their indexes, files, identities, weights, folding and preprocessing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench_attacks.branches import branches
from bench_attacks.parts.sgm import SkipGradient
from bench_core.errors import UsageError
from bench_core.lean import lean
from bench_core.lean.folding import Affine, fold_batch_norm
from bench_models.libraries import torchvision as torchvision_models
from bench_models.libraries.indexes import timm_networks, torchvision_networks
from bench_models.libraries.preprocessing import Preprocessed

from ..attacks.test_skip_gradient import input_gradient
from .conftest import Caches
from .stand_ins import put_timm, put_torchvision, with_random_statistics

IMAGENET = [torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


def close(actual: Tensor, expected: Tensor) -> bool:
    """Return whether logits agree to 1e-4 of the largest."""
    return torch.allclose(actual, expected, atol=1e-4 * float(expected.abs().max().clamp(min=1)))


@pytest.mark.parametrize(
    ("name", "side", "old"), [("resnet18", 224, False), ("densenet121", 224, True), ("inception_v3", 299, False)]
)
def test_a_torchvision_network_is_loaded_from_the_cache_with_its_preprocessing(
    name: str, side: int, old: bool, caches: Caches
) -> None:
    plain = put_torchvision(caches.torch, name, old_names=old)
    model = torchvision_models.build(name, "IMAGENET1K_V1")
    images = torch.rand(2, 3, side, side)
    with torch.no_grad():
        assert close(model(images), plain((images - IMAGENET[0]) / IMAGENET[1]))
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())


def test_the_digest_of_the_file_tells_weights_apart(caches: Caches) -> None:
    assert torchvision_models.identity("resnet18", "IMAGENET1K_V1")["weights"] == ["missing"]
    put_torchvision(caches.torch, "resnet18")
    original = torchvision_models.identity("resnet18", "IMAGENET1K_V1")
    (file,) = (caches.torch / "hub" / "checkpoints").iterdir()
    file.write_bytes(file.read_bytes() + b"0")
    changed = torchvision_models.identity("resnet18", "IMAGENET1K_V1")
    assert len(original["weights"][0]) == len(changed["weights"][0]) == 64
    assert original != changed


def test_missing_weights_and_unknown_names_are_one_line(caches: Caches) -> None:
    with pytest.raises(UsageError, match=r"not on this machine: looked for .*resnet18-f37072fd\.pth"):
        torchvision_models.build("resnet18", "IMAGENET1K_V1")
    with pytest.raises(UsageError, match=r'name: unknown network "resnet81" \(did you mean "resnet18"'):
        torchvision_models.identity("resnet81", "IMAGENET1K_V1")
    with pytest.raises(UsageError, match=r'weights: unknown weights "V1"'):
        torchvision_models.identity("resnet18", "V1")


def test_torchvisions_index_is_what_torchvision_lists() -> None:
    import torchvision
    from torchvision.models import get_model_weights, list_models

    index = torchvision_networks()
    assert set(index) == set(list_models(module=torchvision.models))
    for name, published in index.items():
        weights = {entry.name: entry for entry in get_model_weights(name)}
        assert {key: entry.url for key, entry in weights.items()} == {key: file.url for key, file in published.items()}
        for key, entry in weights.items():
            assert published[key].size == pytest.approx(entry.meta["_file_size"] * 2**20, abs=1)


def test_timms_index_is_what_timm_lists() -> None:
    timm = pytest.importorskip("timm")
    index = timm_networks()
    listed = timm.list_models(pretrained=True)  # also what other libraries register in this process
    timm_names = {
        name for name in listed if timm.model_entrypoint(name.partition(".")[0]).__module__.startswith("timm.")
    }
    assert set(index) == timm_names
    for name in sorted(index)[::9]:
        settings, published = timm.get_pretrained_cfg(name), index[name]
        assert (settings.hf_hub_id or "") == published.repository
        assert published.repository or settings.url == published.url


def test_a_library_that_cannot_be_listed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(distribution: str, module: str) -> None:
        raise ImportError(f"{distribution} 1.0 cannot be listed: RuntimeError: no GPU")

    monkeypatch.setattr("bench_models.libraries.indexes.library_index", broken)
    with pytest.raises(UsageError, match=r"^torchvision: torchvision 1\.0 cannot be listed: RuntimeError: no GPU$"):
        torchvision_models.identity("resnet18", "IMAGENET1K_V1")


def test_planning_with_libraries_imports_no_torch(caches: Caches) -> None:
    """Neither with a cold index nor with a cached one."""
    code = (
        "import sys\nfrom bench_models.libraries import checkpoint, torchvision\n"
        "torchvision.identity('resnet18', 'IMAGENET1K_V1')\ncheckpoint.identity('torchvision:resnet18', 'nowhere.pt')\n"
        "print('torch' in sys.modules)"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["test_byobnet.r160_in1k", "legacy_seresnet18.in1k"])
def test_a_timm_network_is_loaded_from_the_hubs_cache_or_torchs(name: str, caches: Caches) -> None:
    pytest.importorskip("timm")
    from bench_models.libraries import timm as timm_models

    assert timm_models.identity(name)["weights"] == ["missing"]
    plain = put_timm(caches.torch, caches.hub, name)
    model = timm_models.build(name)
    settings = plain.pretrained_cfg
    mean, std = (torch.tensor(settings[key]).view(3, 1, 1) for key in ("mean", "std"))
    images = torch.rand(2, *settings["input_size"])
    with torch.no_grad():
        assert close(model(images), plain((images - mean) / std))
    assert len(timm_models.identity(name)["weights"][0]) == 64


def test_missing_weights_of_timm_are_named(caches: Caches) -> None:
    pytest.importorskip("timm")
    from bench_models.libraries import timm as timm_models

    with pytest.raises(UsageError, match=r"looked for .*models--timm--resnet18\.a1_in1k/.*/model\.safetensors"):
        timm_models.build("resnet18.a1_in1k")
    with pytest.raises(UsageError, match=r"looked for .*checkpoints/legacy_senet154-e9eb9fe6\.pth"):
        timm_models.build("legacy_senet154.in1k")
    with pytest.raises(UsageError, match=r"which weights\? resnet18\.a1_in1k, resnet18\.a2_in1k"):
        timm_models.identity("resnet18")
    with pytest.raises(UsageError, match="unknown network"):
        timm_models.identity("resnet18.nobody")


@pytest.mark.parametrize("library", ["timm", "robustbench"])
def test_the_plugin_of_a_missing_library_names_what_to_install(library: str) -> None:
    """The error of loading a plugin is listed as the reason why it is unavailable."""
    points = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    code = (
        "import importlib, importlib.metadata, importlib.util\nfind = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *a: None if name == '{library}' else find(name, *a)\n"
        "importlib.metadata.distributions = lambda **_: iter(())\n"
        f"try:\n    importlib.import_module('{points['bench'][library]}')\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f'{library} is not installed (try pip install "adversarial-bench[{library}]")'


FOLDED = {"resnet18": 20, "densenet121": 59, "mobilenet_v2": 52, "vgg11_bn": 8, "googlenet": 57, "swin_t": 0}


@pytest.mark.parametrize("name", FOLDED)
def test_folding_changes_neither_logits_nor_branches(name: str) -> None:
    """Of DenseNet the second of each pair and the very first are folded; of GoogLeNet all but the auxiliary heads'."""
    torch.manual_seed(0)
    network = with_random_statistics(torchvision_models.construct(name))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before, branch_count = network(images), len(branches(network))
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        folded = lean(network)
        assert close(folded(images), before)
    assert norms - sum(isinstance(module, nn.BatchNorm2d | Affine) for module in folded.modules()) == FOLDED[name]
    assert len(branches(folded)) == branch_count
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in folded.parameters() if w.ndim == 4)


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_skip_gradients_are_the_same_on_a_folded_network(name: str) -> None:
    """The replacement of a normalisation is still the end of a branch, and its output is still added in place."""
    torch.manual_seed(0)
    network = with_random_statistics(torchvision_models.construct(name)).double()
    images = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    skip, plain = (input_gradient(network, images, hook) for hook in (SkipGradient(0.3, projections=False), None))
    folded = lean(network)
    torch.testing.assert_close(input_gradient(folded, images, SkipGradient(0.3, projections=False)), skip)
    torch.testing.assert_close(input_gradient(folded, images, None), plain)
    assert (skip - plain).norm() > 0.1 * plain.norm()


@pytest.mark.parametrize("name", ["inception_v3", "legacy_seresnet18", "resnetv2_50", "efficientnet_b0"])
def test_folding_timms_networks_does_not_change_their_logits(name: str) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = with_random_statistics(timm.create_model(name))
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        before, branch_count = network(images), len(branches(network))
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        folded = fold_batch_norm(network)
        assert close(folded(images), before)
    assert len(branches(folded)) == branch_count
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) < norms or name == "resnetv2_50"


def test_normalisations_that_must_not_be_folded_are_not() -> None:
    """After a sum, a convolution that is used twice, or one whose output has another user; one without statistics."""

    class Awkward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice, self.seen, self.plain = (nn.Conv2d(3, 3, 1) for _ in range(3))
            self.norms = nn.ModuleList(nn.BatchNorm2d(3, track_running_stats=i != 4) for i in range(5))

        def forward(self, images: Tensor) -> Tensor:
            seen = self.seen(images)
            once, again = self.norms[0](self.twice(images)), self.norms[1](self.twice(seen))
            return self.norms[2](seen) + self.norms[3](once + again) + self.norms[4](self.plain(images))

    network = with_random_statistics(Awkward())
    images = torch.rand(2, 3, 8, 8)
    before, convolutions = network(images), [network.twice, network.seen, network.plain]
    assert close(fold_batch_norm(network)(images), before)
    assert [network.twice, network.seen, network.plain] == convolutions
    assert [type(norm) for norm in network.norms] == [*[Affine] * 4, nn.BatchNorm2d]


def test_nothing_is_folded_in_a_network_that_cannot_be_traced() -> None:
    class Branching(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if images.sum() > 0 else images

    network = with_random_statistics(Branching(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    images = torch.rand(2, 3, 8, 8)
    before = network(images)
    convolution = network[0]
    assert close(lean(network)(images), before)
    assert torch.equal(network[0].weight, convolution.weight)
    assert isinstance(network[1], Affine)


def test_preprocessing_resizes_and_normalises_differentiably() -> None:
    model = Preprocessed(nn.Flatten(), [0.1, 0.2, 0.3], [0.5, 0.25, 1.0], 4)
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    small = functional.interpolate(images, (4, 4), mode="bilinear", antialias=True)
    expected = torch.stack([(small[:, c] - m) / s for c, (m, s) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 1.0)])], 1)
    assert torch.allclose(model(images), expected.flatten(1))
    (gradient,) = torch.autograd.grad(model(images).sum(), images)
    assert (gradient != 0).all()


@pytest.mark.parametrize(("name", "side", "resize"), [("resnet18", 224, 256), ("inception_v3", 299, 342)])
@pytest.mark.parametrize("size", [(500, 375), (375, 501), (333, 299), (224, 640)])
def test_preprocessing_is_torchvisions_own_on_the_same_picture(
    name: str, side: int, resize: int, size: tuple[int, int], caches: Caches, tmp_path: Path
) -> None:
    from PIL import Image
    from torchvision.models import get_model_weights

    from bench_models.datasets.imagefolder import ImageFolder

    from .stand_ins import put_pictures

    put_pictures(tmp_path / "val", {"n01440764": 1}, size)
    preset = get_model_weights(name)["IMAGENET1K_V1"].transforms()
    with Image.open(tmp_path / "val" / "n01440764" / "0.png") as picture:
        expected = preset(picture.convert("RGB"))
    images = torch.from_numpy(ImageFolder(str(tmp_path / "val"), side=side, resize=resize).load([0]))
    actual = Preprocessed(nn.Identity(), preset.mean, preset.std, side).prepared(images)[0]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["inception_v3.tf_in1k", "inception_resnet_v2.tf_in1k", "legacy_senet154.in1k"])
def test_preprocessing_is_timms_own_on_the_same_picture(name: str, caches: Caches, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    from PIL import Image

    from bench_models.datasets.imagefolder import ImageFolder
    from bench_models.libraries.timm import preprocessed

    from .stand_ins import put_pictures

    settings = timm.get_pretrained_cfg(name).to_dict()
    put_pictures(tmp_path / "val", {"n01440764": 1}, (500, 375))
    transform = timm.data.create_transform(**timm.data.resolve_data_config(settings))
    with Image.open(tmp_path / "val" / "n01440764" / "0.png") as picture:
        expected = transform(picture.convert("RGB"))
    side = settings["input_size"][-1]
    resize, mode = int(side / settings["crop_pct"]), settings["interpolation"]
    data = ImageFolder(str(tmp_path / "val"), side=side, resize=resize, interpolation=mode)
    network = nn.Identity()
    network.pretrained_cfg = settings  # the only attribute that is needed here
    actual = preprocessed(network).prepared(torch.from_numpy(data.load([0])))[0]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
