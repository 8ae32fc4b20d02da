"""Inner layers: found by name or depth in every family, and their features under in-place layers and views."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bench_attacks.compose import join
from bench_attacks.features import Recorder
from bench_attacks.loop import Run
from bench_attacks.plugin import RECIPES
from bench_attacks.taps import Layer, units
from bench_core.errors import UsageError
from bench_core.run_suite import run as run_suite
from bench_models.embedded.architectures import ARCHITECTURES
from bench_models.ensemble import Ensemble

from .scene import budget, build, examples, network, run, streams

TORCHVISION = {  # the number of units, and where a share of 0.45 is
    "resnet18": (9, "layer2.1"), "resnet50": (17, "layer2.3"), "vgg16": (13, "features.13"),
    "vgg16_bn": (13, "features.19"), "densenet121": (8, "features.denseblock2"), "inception_v3": (16, "Mixed_5d"),
    "mobilenet_v2": (19, "features.8"), "vit_b_16": (13, "encoder.layers.encoder_layer_4"),
    "swin_t": (13, "features.5.0"),
}  # fmt: skip
EMBEDDED = {
    "AlexNet": (4, "5"), "VGG": (5, "2.2"), "ResNet-S": (4, "1"), "ResNet-L": (9, "4"), "DenseNet-S": (9, "4.2"),
    "DenseNet-L": (15, "6.2"), "SENet": (6, "2"), "Inception": (5, "2"), "IncResNet": (8, "3"),
    "MobileNet": (8, "2.1.2"),
}  # fmt: skip


def name_of(model: nn.Module, module: nn.Module) -> str:
    return next(name for name, inner in model.named_modules() if inner is module)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_blocks_of_torchvisions_networks_are_found_by_structure(name: str) -> None:
    options = {"init_weights": False} if name == "inception_v3" else {}
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None, **options)
    assert (len(units(model)), name_of(model, Layer(0.45).module(model))) == TORCHVISION[name]
    wrapped = nn.Sequential(nn.Identity(), model)
    assert len(units(wrapped)) == TORCHVISION[name][0]


@pytest.mark.parametrize("name", EMBEDDED)
def test_those_of_the_embedded_networks(name: str) -> None:
    model = ARCHITECTURES[name]()
    assert (len(units(model)), name_of(model, Layer(0.45).module(model))) == EMBEDDED[name]


def test_a_layer_by_its_name() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Identity(), torchvision.models.resnet18(weights=None))
    assert Layer("layer2").module(model) is model[1].layer2
    assert Layer("1.layer2.0").module(model) is model[1].layer2[0]
    for name, words in (("layer9", "no layer ends"), ("conv1", "several layers end")):
        rejection = Layer(name).check(model)
        assert rejection is not None
        assert rejection.option == "layer"
        assert words in rejection.message
    assert Layer(0.5).check(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))) is not None


def test_features_are_those_before_a_layer_overwrites_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True)).requires_grad_(False)
    images = torch.randn(2, 1, 4, 4, requires_grad=True)
    with Recorder(Layer("0"), model) as recorder:
        out = model(images)
        features = recorder.features(2, (2,))
    assert features is not None
    assert (features < 0).any()
    assert (out >= 0).all()
    assert not model[0]._forward_hooks


def test_a_layer_used_twice_or_at_two_sizes_is_an_error() -> None:
    shared = nn.Conv2d(1, 1, 3, padding=1)
    model = nn.Sequential(shared, shared).requires_grad_(False)
    with Recorder(Layer("0"), model) as recorder:
        model(torch.zeros(2, 1, 4, 4))
        with pytest.raises(ValueError, match="layer: the network does not use"):
            recorder.features(2, (2,))


def test_an_ensemble_and_an_unknown_layer_are_rejected_before_the_run(registry, write_suite, tmp_path) -> None:
    attack = build("fia", budget(), layer="2")
    assert attack.check_source(network()) is None  # type: ignore[attr-defined]
    rejection = attack.check_source(Ensemble([network(), network(1, 1)], "logits"))  # type: ignore[attr-defined]
    assert "try a single source" in str(rejection)
    single = ('sources = ["A", ["A", "B"]]', 'sources = ["A"]')
    suite = write_suite(('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "fia", layer = "nowhere" }'), single)
    with pytest.raises(UsageError, match="no layer ends with"):
        run_suite(suite, out=tmp_path, registry=registry, executor="inline")


def test_features_follow_the_copies_of_views() -> None:
    """FIA over scaled copies: the mean over the copies of the weighted features at each."""
    given, model = examples(), network()
    attack = join([RECIPES["fia"], RECIPES["si"]]).build(budget("l2", steps=1), layer="1", masks=2, scales=3)
    reached = run(attack, model, given)[0]
    weights = Run(attack, model, given, streams(given), None).prepared  # type: ignore[arg-type]
    assert weights is not None
    at = given.images.clone().requires_grad_(True)
    value: Tensor = sum((weights * model[:2](at / 2**i)).sum() for i in range(3))  # type: ignore[assignment]
    (gradient,) = torch.autograd.grad(value, at)
    for i in range(4):
        delta = 0.3 * gradient[i] / gradient[i].norm()
        torch.testing.assert_close(reached[i], (given.images[i] + delta).clamp(0, 1), rtol=0, atol=1e-9)


def test_a_layer_without_a_tensor_is_named() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows, self.head = nn.LSTM(6, 4, batch_first=True), nn.Linear(4, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.rows(images[:, 0])[0][:, -1])
            return logits

    with pytest.raises(ValueError, match="layer: it returns tuple, not a tensor"):
        run(build("fia", budget(), layer="rows"), Recurrent().double().eval().requires_grad_(False), examples())
