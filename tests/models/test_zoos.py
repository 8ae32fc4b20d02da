"""Torchvision and timm from files where the libraries look for them: found, identified, loaded, folded, described."""

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
from bench_models.lean.folding import Affine, fold_batch_norm
from bench_models.lean.make import lean
from bench_models.libraries import timm_index as timm_source
from bench_models.libraries import torchvision as torchvision_models
from bench_models.libraries import torchvision_index as torchvision_source
from bench_models.libraries.preprocessing import Preprocessed

from ..attacks.test_skip_gradient import input_gradient
from .conftest import Caches
from .shelves import put_timm, put_torchvision, settled

IMAGENET = [torch.tensor(each).view(3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


def close(one: Tensor, other: Tensor) -> bool:
    """Whether logits are equal to 1e-4 of their size."""
    return torch.allclose(one, other, atol=1e-4 * float(other.abs().max().clamp(min=1)))


@pytest.mark.parametrize(
    ("name", "side", "old"), [("resnet18", 224, False), ("densenet121", 224, True), ("inception_v3", 299, False)]
)
def test_a_torchvision_network_is_loaded_from_the_cache_and_owns_its_preprocessing(
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
    one = torchvision_models.identity("resnet18", "IMAGENET1K_V1")
    (file,) = (caches.torch / "hub" / "checkpoints").iterdir()
    file.write_bytes(file.read_bytes() + b"0")
    other = torchvision_models.identity("resnet18", "IMAGENET1K_V1")
    assert len(one["weights"][0]) == len(other["weights"][0]) == 64
    assert one != other


def test_missing_weights_and_unknown_names_are_one_line(caches: Caches) -> None:
    with pytest.raises(UsageError, match=r"not on this machine: looked for .*resnet18-f37072fd\.pth"):
        torchvision_models.build("resnet18", "IMAGENET1K_V1")
    with pytest.raises(UsageError, match=r'name: unknown network "resnet81" \(did you mean "resnet18"'):
        torchvision_models.identity("resnet81", "IMAGENET1K_V1")
    with pytest.raises(UsageError, match=r'weights: unknown weights "V1"'):
        torchvision_models.identity("resnet18", "V1")


def test_what_is_read_from_torchvisions_source_is_what_torchvision_says() -> None:
    import torchvision
    from torchvision.models import get_model_weights, list_models

    assert set(torchvision_source.networks()) == set(list_models(module=torchvision.models))
    for name in torchvision_source.networks():
        said = {each.name: each for each in get_model_weights(name) if each.name != "DEFAULT"}
        read = torchvision_source.weights(name)
        assert {key: each.url for key, each in said.items()} == {key: each.url for key, each in read.items()}
        for key, each in said.items():
            assert read[key].size == pytest.approx(each.meta["_file_size"] * 2**20, abs=1)


def test_what_is_read_from_timms_source_is_what_timm_says() -> None:
    timm = pytest.importorskip("timm")
    known = set(timm.list_models(pretrained=True))
    assert len(known & set(timm_source.names())) > 0.98 * len(known), "a few are made by loops, not written down"
    for name in sorted(known & set(timm_source.names()))[::9]:
        said, read = timm.get_pretrained_cfg(name), timm_source.published(name)
        assert (said.hf_hub_id or "") == read.repository
        assert read.repository or said.url == read.url


@pytest.mark.parametrize("name", ["test_byobnet.r160_in1k", "legacy_seresnet18.in1k"])
def test_a_timm_network_is_loaded_from_the_hubs_cache_or_torchs(name: str, caches: Caches) -> None:
    pytest.importorskip("timm")
    from bench_models.libraries import timm as timm_models

    assert timm_models.identity(name)["weights"] == ["missing"]
    plain = put_timm(caches.torch, caches.hub, name)
    model = timm_models.build(name)
    settings = plain.pretrained_cfg
    mean, std = (torch.tensor(settings[each]).view(3, 1, 1) for each in ("mean", "std"))
    images = torch.rand(2, *settings["input_size"])
    with torch.no_grad():
        assert close(model(images), plain((images - mean) / std))
    assert len(timm_models.identity(name)["weights"][0]) == 64


def test_timm_weights_that_are_missing_are_named_at_once(caches: Caches) -> None:
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
def test_without_a_library_its_plugin_says_what_to_install(library: str) -> None:
    """What a plugin raises when it is loaded is what is listed as the reason why it is unavailable."""
    points = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    code = (
        "import importlib, importlib.metadata, importlib.util\nfind = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *a: None if name == '{library}' else find(name, *a)\n"
        "importlib.metadata.distributions = lambda **_: iter(())\n"
        f"try:\n    importlib.import_module('{points['bench'][library]}')\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f'{library} is not installed (would do: pip install "adversarial-bench[{library}]")'


FOLDED = {"resnet18": 20, "densenet121": 59, "mobilenet_v2": 52, "vgg11_bn": 8, "googlenet": 57, "swin_t": 0}


@pytest.mark.parametrize("name", FOLDED)
def test_folding_changes_neither_the_answers_nor_the_branches(name: str) -> None:
    """The counts: of DenseNet each pair's second, and the first of all; of GoogLeNet all but the auxiliary heads'."""
    torch.manual_seed(0)
    network = settled(torchvision_models.construct(name))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before, found = network(images), len(branches(network))
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        folded = lean(network)
        assert close(folded(images), before)
    assert norms - sum(isinstance(module, nn.BatchNorm2d | Affine) for module in folded.modules()) == FOLDED[name]
    assert len(branches(folded)) == found
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in folded.parameters() if w.ndim == 4)


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_skip_gradients_are_the_same_on_a_folded_network(name: str) -> None:
    """What is left in a normalisation's place is still the end of a branch, and its output is still added in place."""
    torch.manual_seed(0)
    network = settled(torchvision_models.construct(name)).double()
    images = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    skip, plain = (input_gradient(network, images, each) for each in (SkipGradient(0.3, projections=False), None))
    folded = lean(network)
    torch.testing.assert_close(input_gradient(folded, images, SkipGradient(0.3, projections=False)), skip)
    torch.testing.assert_close(input_gradient(folded, images, None), plain)
    assert (skip - plain).norm() > 0.1 * plain.norm()


@pytest.mark.parametrize("name", ["inception_v3", "legacy_seresnet18", "resnetv2_50", "efficientnet_b0"])
def test_timms_networks_answer_the_same_once_folded(name: str) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = settled(timm.create_model(name))
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        before, found = network(images), len(branches(network))
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        folded = fold_batch_norm(network)
        assert close(folded(images), before)
    assert len(branches(folded)) == found
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) < norms or name == "resnetv2_50"


def test_what_must_not_be_folded_is_not() -> None:
    """A normalisation after a sum, a convolution used twice, one that is looked at elsewhere, one made for training."""

    class Awkward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice, self.seen, self.plain = (nn.Conv2d(3, 3, 1) for _ in range(3))
            self.norms = nn.ModuleList(nn.BatchNorm2d(3, track_running_stats=i != 4) for i in range(5))

        def forward(self, images: Tensor) -> Tensor:
            seen = self.seen(images)
            once, again = self.norms[0](self.twice(images)), self.norms[1](self.twice(seen))
            return self.norms[2](seen) + self.norms[3](once + again) + self.norms[4](self.plain(images))

    network = settled(Awkward())
    images = torch.rand(2, 3, 8, 8)
    before, convolutions = network(images), [network.twice, network.seen, network.plain]
    assert close(fold_batch_norm(network)(images), before)
    assert [network.twice, network.seen, network.plain] == convolutions
    assert [type(norm) for norm in network.norms] == [*[Affine] * 4, nn.BatchNorm2d]


def test_nothing_is_folded_in_a_network_that_cannot_be_traced() -> None:
    class Branching(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if images.sum() > 0 else images

    network = settled(Branching(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
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

    from .shelves import put_pictures

    put_pictures(tmp_path / "val", {"n01440764": 1}, size)
    preset = get_model_weights(name)["IMAGENET1K_V1"].transforms()
    with Image.open(tmp_path / "val" / "n01440764" / "0.png") as picture:
        expected = preset(picture.convert("RGB"))
    images = torch.from_numpy(ImageFolder(str(tmp_path / "val"), side=side, resize=resize).load([0]))
    found = Preprocessed(nn.Identity(), preset.mean, preset.std, side).prepared(images)[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["inception_v3.tf_in1k", "inception_resnet_v2.tf_in1k", "legacy_senet154.in1k"])
def test_preprocessing_is_timms_own_on_the_same_picture(name: str, caches: Caches, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    from PIL import Image

    from bench_models.datasets.imagefolder import ImageFolder
    from bench_models.libraries.timm import preprocessed

    from .shelves import put_pictures

    settings = timm.get_pretrained_cfg(name).to_dict()
    put_pictures(tmp_path / "val", {"n01440764": 1}, (500, 375))
    transform = timm.data.create_transform(**timm.data.resolve_data_config(settings))
    with Image.open(tmp_path / "val" / "n01440764" / "0.png") as picture:
        expected = transform(picture.convert("RGB"))
    side = settings["input_size"][-1]
    resize, mode = int(side / settings["crop_pct"]), settings["interpolation"]
    data = ImageFolder(str(tmp_path / "val"), side=side, resize=resize, interpolation=mode)
    network = nn.Identity()
    network.pretrained_cfg = settings  # all that is asked of a network here
    found = preprocessed(network).prepared(torch.from_numpy(data.load([0])))[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
