"""Surrogates on the networks of libraries: ReLUs in place and as functions, restored after errors, refusals."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from bench_attacks.compose import join
from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.plugin import RECIPES
from bench_core.types import Examples
from bench_core.worker.guard import guarded
from bench_core.worker.instrument import PassCounter
from bench_models.embedded.architectures import ARCHITECTURES
from bench_models.ensemble import Ensemble

from .catalogue.by_hand_networks import residual
from .scene import budget, build, examples, network, run, run_state

CHANGED = ("linbp", "bpa", "ghost", "iaa", "ilpd", "cfm")
OPTIONS: dict[str, dict[str, Any]] = {"ghost": {"dropout": 0.2}, "cfm": {"mix_probability": 0.8, "cfm_pool": 8}}
UNCHANGED_LOGITS = ("linbp", "bpa")


def attack_of(name: str, **options: Any) -> GradientAttack:
    attack = build(name, budget("l2", steps=1, loss="cross_entropy"), **(OPTIONS.get(name, {}) | options))
    assert isinstance(attack, GradientAttack)
    return attack


def labelled(images: Tensor, classes: int = 10) -> Examples:
    labels = torch.arange(len(images)) % classes
    return Examples(images, labels, tuple(f"image {i}" for i in range(len(images))))


def moved(attack: GradientAttack, model: nn.Module, given: Examples) -> Tensor:
    """Return where one long step leads, which is known up to the gradient's length."""
    return run(attack, model, given)[-1] - given.images


def library_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name in ARCHITECTURES:
        model = ARCHITECTURES[name]()
    elif name.startswith("timm "):
        options = {"img_size": 64, "depth": 4} if "vit" in name else {}
        model = pytest.importorskip("timm").create_model(name[5:], **options)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.fill_(1.0)  # timm initialises branches to zero
    else:
        model = getattr(torchvision.models, name)(
            weights=None, **({"init_weights": False} if name == "googlenet" else {})
        )
    return model.double().eval().requires_grad_(False)


NETWORKS = {
    "resnet18": CHANGED, "timm resnet26": CHANGED, "densenet121": CHANGED, "googlenet": ("bpa", "ghost", "ilpd", "cfm"),
    "mobilenet_v2": ("ghost", "ilpd", "cfm"), "timm vit_tiny_patch16_224": ("ghost", "ilpd", "cfm"),
    "timm seresnet50": CHANGED, "timm densenet121": CHANGED, "timm resnetv2_50": CHANGED,
    **dict.fromkeys(("ResNet-S", "DenseNet-S", "SENet", "IncResNet"), CHANGED),
    "Inception": ("bpa", "ghost", "ilpd", "cfm"), "AlexNet": ("bpa", "ghost", "ilpd", "cfm"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_libraries_are_changed_image_by_image_and_restored(name: str) -> None:
    model = library_network(name)
    side = 28 if name in ARCHITECTURES else 64
    images = torch.rand(2, 1 if name in ARCHITECTURES else 3, side, side, dtype=torch.float64)
    given = labelled(images)
    plain = moved(attack_of("pgd"), model, given)
    for attacked in CHANGED:
        attack = attack_of(attacked)
        rejection = attack.check_source(model)
        assert (rejection is None) == (attacked in NETWORKS[name]), f"{attacked}: {rejection}"
        if rejection:
            assert "(try " in str(rejection)
            continue
        with guarded(model):
            together = moved(attack, model, given)
        for i in range(2):
            alone = moved(attack, model, given.take(slice(i, i + 1)))
            torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-9)
        assert ((together - plain).flatten(1).norm(dim=1) > 1e-3 * plain.flatten(1).norm(dim=1)).all(), attacked


@pytest.mark.parametrize("name", UNCHANGED_LOGITS)
@pytest.mark.parametrize("of", ["resnet18", "densenet121", "Inception"])
def test_a_changed_gradient_leaves_the_logits(name: str, of: str) -> None:
    model = library_network(of)
    if attack_of(name).check_source(model):
        pytest.skip("has no branches")
    images = torch.rand(2, 1 if of in ARCHITECTURES else 3, 40, 40, dtype=torch.float64).requires_grad_(True)
    (surrogate,) = attack_of(name).surrogates
    with surrogate.apply(model, run_state(examples(2))) as changed:
        assert torch.equal(changed(images), model(images.detach()))


def test_linbp_on_bottlenecks_is_the_paper_s_backward_pass() -> None:
    """One ReLU in place, used three times a block; a projection; from the block after `layer2.0` on."""
    torch.manual_seed(0)
    model = torchvision.models.ResNet(Bottleneck, [1, 2, 1, 1], num_classes=4)
    model.double().eval().requires_grad_(False)
    given = labelled(torch.rand(1, 3, 48, 48, dtype=torch.float64), 4)

    def below(at: Tensor) -> Tensor:
        at = model.maxpool(model.relu(model.bn1(model.conv1(at))))
        return model.layer2[0](model.layer1(at))  # type: ignore[no-any-return]

    def pulled(function: Any, at: Tensor, gradient: Tensor) -> Tensor:
        at = at.detach().requires_grad_(True)
        return torch.autograd.grad(function(at), at, gradient)[0]

    def backward(block: Bottleneck, at: Tensor, gradient: Tensor) -> Tensor:
        def branch(here: Tensor, masked: bool = True) -> Tensor:
            relu = torch.relu if masked else lambda same: same
            here = relu(block.bn2(block.conv2(relu(block.bn1(block.conv1(here))))))
            return block.bn3(block.conv3(here))  # type: ignore[no-any-return]

        shortcut = block.downsample or nn.Identity()
        gradient = gradient * (branch(at) + shortcut(at) > 0)
        linear = pulled(lambda here: branch(here, masked=False), at, gradient)
        masked = pulled(branch, at, gradient)
        return pulled(shortcut, at, gradient) + linear * masked.norm() / linear.norm()

    features = [below(given.images)]
    blocks = [model.layer2[1], model.layer3[0], model.layer4[0]]
    for block in blocks:
        features.append(block(features[-1]))

    def loss(at: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model.fc(model.avgpool(at).flatten(1)), given.labels)

    gradient = pulled(loss, features[-1], torch.ones((), dtype=torch.float64))
    for block, at in zip(reversed(blocks), reversed(features[:-1]), strict=True):
        gradient = backward(block, at, gradient)
    gradient = pulled(below, given.images, gradient)
    expected = (given.images + 0.3 * gradient / gradient.norm()).clamp(0, 1) - given.images
    torch.testing.assert_close(moved(attack_of("linbp", linbp_layer="layer2.0"), model, given), expected)


class Broken(nn.Module):
    """A network that fails after its last layer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        self.inner(images)
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("name", CHANGED)
def test_no_hook_is_left_after_an_error(name: str) -> None:
    given, model = examples(), Broken(network())
    with guarded(model), pytest.raises(RuntimeError, match="on purpose"):
        run(attack_of(name), model, given)
    assert torch.equal(torch.relu(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))


REFUSED = [
    ("linbp", "vgg11", {}, "branches"), ("linbp", "resnet18", {"linbp_layer": "layer9"}, "layer9"),
    ("bpa", "vit_b_16", {}, "nn.ReLU"), ("iaa", "vgg11", {}, "branches"),
    ("ilpd", "resnet18", {"ilpd_layer": "nowhere"}, "nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "of", "options", "words"), REFUSED)
def test_a_source_that_cannot_be_changed_is_refused(name: str, of: str, options: dict[str, Any], words: str) -> None:
    with torch.device("meta"):
        model = getattr(torchvision.models, of)(weights=None)
    rejection = attack_of(name, **options).check_source(model)
    assert rejection is not None
    assert "(try " in str(rejection)
    assert rejection.option in RECIPES[name].build.__signature__.parameters  # type: ignore[attr-defined]
    assert words in str(rejection) or words == "stage"


@pytest.mark.parametrize("name", ["ghost", "ilpd", "cfm"])
def test_draws_for_each_image_refuse_images_of_two_sizes(name: str) -> None:
    attack = join([RECIPES[name], RECIPES["di"]]).build(budget())
    assert "resize = 0.9" in str(attack.check((1, 8, 8)))  # type: ignore[attr-defined]
    for options in ({"resize": 0.9}, {"probability": 1.0}):
        assert join([RECIPES[name], RECIPES["di"]]).build(budget(), **options).check((1, 8, 8)) is None  # type: ignore[attr-defined]


COMPOSITIONS = [
    (["sgm", "linbp", "bpa", "di", "ti", "mi"], {}), (["ilpd", "sgm", "di", "mi"], {"resize": 0.8}),
    (["cfm", "logit"], {"probability": 1.0}), (["ghost", "si", "vmi"], {}), (["iaa", "linbp", "si", "mi"], {}),
    (["ilpd", "ghost", "si"], {}), (["fmaa", "linbp", "si"], {}), (["naa", "bpa", "ghost"], {}),
]  # fmt: skip
SMALL = {
    "scales": 2, "neighbours": 2, "kernel": 3, "cfm_pool": 8, "masks": 2, "path": 2, "dropout": 0.2,
    "mix_probability": 0.8,
}  # fmt: skip


@pytest.mark.parametrize(("parts", "options"), COMPOSITIONS, ids=str)
def test_together_an_image_alone_is_the_same_and_costs_what_is_declared(
    parts: list[str], options: dict[str, Any]
) -> None:
    recipe = join([RECIPES[part] for part in parts])
    known = recipe.build.__signature__.parameters  # type: ignore[attr-defined]
    small = {name: value for name, value in SMALL.items() if name in known}
    attack = recipe.build(budget("l2"), **small, **options)
    networks = [network()] if {"fmaa", "naa"} & set(parts) else [network(seed=seed) for seed in range(2)]
    model = networks[0] if len(networks) == 1 else Ensemble(networks, "logits")
    given, passes, count = examples(), PassCounter(*networks), len(networks)
    with passes.counting():
        together = run(attack, model, given)[-1]
    declared = attack.cost_for(count).total(3)  # type: ignore[attr-defined]
    assert (passes.forwards / 4 / count, passes.backwards / 4 / count) == pytest.approx(declared)
    for i in range(4):
        alone = run(attack, model, given.take(slice(i, i + 1)))[-1]
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-9)


def test_two_parts_that_mix_features_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="both mix features"):
        join([RECIPES["ilpd"], RECIPES["cfm"]])


def test_a_loss_of_features_refuses_parts_that_mix_them() -> None:
    attack = join([RECIPES["ilpd"], RECIPES["naa"]]).build(budget())
    assert "mixes in features" in str(attack.check((1, 8, 8)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["naa", "fmaa", "rpa", "bfa", "logit", "logit_margin"])
def test_a_part_with_a_momentum_refuses_another(name: str) -> None:
    with pytest.raises(ValueError, match="both have the option decay"):
        join([RECIPES[name], RECIPES["mi"]])


OTHER_OPTIONS = [
    ("linbp", {"linbp_layer": 0.9}), ("bpa", {"bpa_layer": "first"}), ("bpa", {"pool_temperature": 1.0}),
    ("ghost", {"spread": 0.9}), ("iaa", {"softplus_beta": 3.0}), ("iaa", {"stage_weights": [0.1]}),
    ("ilpd", {"ilpd_layer": "pool"}), ("ilpd", {"kept": 0.9}), ("ilpd", {"clean_noise": 0.5}),
    ("cfm", {"mix_probability": 0.0}), ("cfm", {"mix_share": 0.1}), ("cfm", {"cfm_pool": 40}),
    *[(name, {"layer": "pool"}) for name in ("naa", "fmaa", "rpa", "bfa")],
    ("naa", {"path": 2}), ("naa", {"path_noise": 0.0}), ("naa", {"base": 0.0}), ("naa", {"negative": 0.0}),
    ("naa", {"decay": 0.0}), ("fmaa", {"masks": 2}), ("fmaa", {"first_drop": 0.0}), ("fmaa", {"drop": 0.9}),
    ("fmaa", {"feature_decay": 0.0}), ("fmaa", {"decay": 0.0}), ("rpa", {"patch_masks": 1}), ("rpa", {"keep": 0.1}),
    ("rpa", {"decay": 0.0}), ("bfa", {"fits": 1}), ("bfa", {"fit_stretch": 1.0}), ("bfa", {"decay": 0.0}),
    *[
        (name, option)
        for name in ("logit", "logit_margin")
        for option in ({"probability": 0.0}, {"resize": 2.0}, {"kernel": 1}, {"decay": 0.0})
    ],
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), OTHER_OPTIONS, ids=str)
def test_each_option_changes_the_result(name: str, options: dict[str, Any]) -> None:
    given, model, limits = examples(4, (1, 16, 16)), residual(stride=2), budget("l2")
    small = OPTIONS.get(name, {})
    plain = run(build(name, limits, **small), model, given)[-1]
    changed = run(build(name, limits, **(small | options)), model, given)[-1]
    assert ((plain - changed).flatten(1).abs().amax(1) > 1e-9).any()
