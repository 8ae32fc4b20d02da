"""Skip gradients: the factor, the blocks that it scales in families of networks, and that networks are restored."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bench_attacks.branches import branches
from bench_attacks.parts.sgm import SkipGradient
from bench_core.errors import UsageError
from bench_core.run_suite import run as run_suite
from bench_core.worker.guard import guarded
from bench_models.embedded.architectures import ARCHITECTURES
from bench_models.ensemble import Ensemble

from .scene import Block, budget, build, examples, network, run, run_state


def input_gradient(model: nn.Module, images: Tensor, surrogate: SkipGradient | None) -> Tensor:
    images = images.clone().requires_grad_(True)
    with nullcontext(model) if surrogate is None else surrogate.apply(model, run_state(examples(2))) as changed:
        (gradient,) = torch.autograd.grad((changed(images) * weights(changed(images))).sum(), images)
    return gradient


def weights(logits: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(logits.shape, generator=generator, dtype=torch.float64).to(logits)


@pytest.mark.parametrize("gamma", [0.0, 0.2, 0.5, 1.0])
def test_one_block_has_the_gradient_in_closed_form(gamma: float) -> None:
    """`y = relu(x + W2 relu(W1 x))`, so `dy/dx = D (I + gamma W2 E W1)` with D, E the masks of the active ReLUs."""
    torch.manual_seed(0)
    first, second = nn.Linear(5, 7, bias=False).double(), nn.Linear(7, 5, bias=False).double()
    block = Block(nn.Sequential(first, nn.ReLU(inplace=True), second))
    x = torch.randn(5, dtype=torch.float64)
    out_gradient = weights(block(x))
    masks = torch.diag((block(x) > 0).double()), torch.diag((first(x) > 0).double())
    jacobian = masks[0] @ (torch.eye(5, dtype=torch.float64) + gamma * second.weight @ masks[1] @ first.weight)
    actual = input_gradient(block, x, SkipGradient(gamma, projections=False))
    torch.testing.assert_close(actual, out_gradient @ jacobian, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_the_factor_is_applied_once_a_block_so_two_blocks_multiply(gamma: float) -> None:
    """With branches `a x` and `b x` and all ReLUs active: `dy/dx = (1 + gamma a)(1 + gamma b)`."""

    class Times(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, features: Tensor) -> Tensor:
            return features * self.factor

    model = nn.Sequential(Block(Times(2.0)), Block(Times(3.0)))
    x = torch.ones(1, requires_grad=True, dtype=torch.float64)
    with SkipGradient(gamma, projections=False).apply(model, run_state(examples(2))) as changed:
        (gradient,) = torch.autograd.grad(changed(x).sum(), x)
    assert gradient.item() == pytest.approx((1 + gamma * 2) * (1 + gamma * 3))


NAMES = [("resnet18", 5, 8), ("resnet34", 13, 16), ("resnet50", 12, 16), ("resnet152", 46, 50)]


@pytest.mark.parametrize(("name", "identity", "every"), NAMES)
def test_the_blocks_of_residual_networks_are_found_by_structure(name: str, identity: int, every: int) -> None:
    """A filter on the name '0.relu' misses layer3.10, 20 and 30 of ResNet-152 and layer1.0 of ResNet-18 and 34."""
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None)
    modules = {id(module) for module, _ in branches(model)}
    assert len(modules) == identity
    assert len(branches(model, projections=True)) == every
    assert {gamma for _, gamma in branches(model)} == {0.2}
    if name == "resnet18":
        assert id(model.layer1[0].bn2) in modules
    if name == "resnet152":
        assert {id(model.layer3[i].bn3) for i in (10, 20, 30)} <= modules


def test_every_dense_layer_of_a_densenet_is_found() -> None:
    with torch.device("meta"):
        model = torchvision.models.densenet121(weights=None)
    assert len(branches(model)) == len(branches(model, projections=True)) == 6 + 12 + 24 + 16
    assert {gamma for _, gamma in branches(model)} == {0.5}


@pytest.mark.parametrize(
    ("name", "identity", "every"),
    [("resnet50", 12, 16), ("seresnet50", 12, 16), ("densenet121", 58, 58), ("legacy_seresnet50", 12, 16)],
)
def test_timms_networks_have_as_many(name: str, identity: int, every: int) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        model = timm.create_model(name)
    assert (len(branches(model)), len(branches(model, projections=True))) == (identity, every)


EMBEDDED = {
    "ResNet-S": (2, 3), "ResNet-L": (6, 8), "SENet": (3, 5), "IncResNet": (5, 5), "MobileNet": (3, 3),
    "DenseNet-S": (7, 7), "DenseNet-L": (13, 13), "AlexNet": (0, 0), "VGG": (0, 0), "Inception": (0, 0),
    "ViT": (0, 0), "ConvNeXt": (6, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_embedded_networks_have_as_many(name: str) -> None:
    model = ARCHITECTURES[name]()
    assert (len(branches(model)), len(branches(model, projections=True))) == EMBEDDED[name]
    dense = name.startswith("DenseNet")
    assert {gamma for _, gamma in branches(model)} <= {0.5 if dense else 0.2}


def scaled_by_hand(model: nn.Module, gamma: float) -> None:
    """Rewrite the forward passes: `shortcut + branch` becomes `shortcut + gamma * branch + (1 - gamma) * constant`."""

    def soft(branch: Tensor) -> Tensor:
        return gamma * branch + (1 - gamma) * branch.detach()

    def basic(self: nn.Module, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return torch.relu(soft(out) + x) if self.downsample is None else torch.relu(out + self.downsample(x))

    def bottleneck(self: nn.Module, x: Tensor) -> Tensor:
        out = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        out = self.bn3(self.conv3(out))
        return torch.relu(soft(out) + x) if self.downsample is None else torch.relu(out + self.downsample(x))

    kinds: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {"BasicBlock": basic, "Bottleneck": bottleneck}
    for module in model.modules():
        if type(module).__name__ in kinds:
            module.forward = kinds[type(module).__name__].__get__(module)
        if type(module).__name__ == "_DenseLayer":
            plain = module.forward
            module.forward = lambda x, plain=plain: soft(plain(x))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121"])
def test_real_networks_have_the_gradient_of_rewritten_ones(name: str) -> None:
    """In-place ReLUs, one ReLU used three times a bottleneck, in-place sums: the scale is gamma, once, everywhere."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None).double().eval().requires_grad_(False)
    images = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    with guarded(model):
        actual = input_gradient(model, images, SkipGradient(0.3, projections=False))
    plain = input_gradient(model, images, None)
    scaled_by_hand(model, 0.3)
    expected = input_gradient(model, images, None)
    torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-12)
    assert (actual - plain).norm() > 0.1 * plain.norm()


@pytest.mark.parametrize("name", ["resnet26", "seresnet50", "legacy_seresnet18", "densenet121", "resnetv2_50"])
def test_timms_networks_are_changed_and_restored(name: str) -> None:
    """With gamma = 1 nothing changes; with gamma = 0 something does, so the hooked modules are indeed called."""
    timm = pytest.importorskip("timm")
    model = timm.create_model(name).double().eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.fill_(1.0)  # timm initialises branches to zero, where scaling has no effect
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    plain = input_gradient(model, images, None)
    with guarded(model):
        assert torch.equal(input_gradient(model, images, SkipGradient(1.0, projections=False)), plain)
        changed = input_gradient(model, images, SkipGradient(0.0, projections=False))
    assert (changed - plain).norm() > 1e-3 * plain.norm()


def test_the_logits_do_not_change() -> None:
    model, given = network(), examples()
    with SkipGradient(0.1, projections=False).apply(model, run_state(examples(2))) as changed, torch.enable_grad():
        assert torch.equal(changed(given.images.clone().requires_grad_(True)), model(given.images))


def test_gamma_one_is_plain_ascent_to_the_bit_and_gamma_matters() -> None:
    given, model = examples(), network()
    plain = run(build("pgd", budget("l2")), model, given)[-1]
    assert torch.equal(run(build("sgm", budget("l2"), gamma=1.0), model, given)[-1], plain)
    assert not torch.equal(run(build("sgm", budget("l2"), gamma=0.2), model, given)[-1], plain)


def test_a_second_attack_does_not_stack_on_the_first() -> None:
    given, model, attack = examples(), network(), build("sgm", budget("l2"))
    assert torch.equal(run(attack, model, given)[-1], run(attack, model, given)[-1])


def test_an_ensemble_is_changed_wherever_it_has_branches() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(36, 4)).double().requires_grad_(False)
    surrogate = SkipGradient(None, projections=False)
    assert surrogate.check(Ensemble([network(), plain], "logits")) is None
    assert len(branches(Ensemble([network(), plain, network(seed=1)], "logits"))) == 2
    reason = surrogate.check(Ensemble([plain, plain], "logits"))
    assert reason is not None
    assert "no residual branches" in reason.message
    with pytest.raises(ValueError, match=r"\(try "), surrogate.apply(plain, run_state(examples(2))):
        pass


def test_a_source_without_branches_stops_the_run_with_a_line_for_each(registry, write_suite, tmp_path) -> None:
    """The run stops before anything is computed."""
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "pgd" }\n"SGM" = { recipe = "sgm" }'))
    with pytest.raises(UsageError) as error:
        run_suite(suite, out=tmp_path, registry=registry, executor="inline")
    single, ensemble = str(error.value).splitlines()
    assert "source A: sgm: gamma: the source Sequential has no residual branches" in single
    assert "source A+B: sgm: gamma: the source Ensemble has no residual branches" in ensemble
    assert "(try " in single
    assert not list((tmp_path / "store").rglob("*.safetensors"))


def test_normalised_gradients_are_those_of_each_input_alone() -> None:
    """By hand: back from the logits, the gradient in each block's input is divided by its own standard deviation."""
    torch.manual_seed(0)
    branches_of = [nn.Conv2d(3, 3, 3, padding=1).double().requires_grad_(False) for _ in range(2)]
    first, second = (Block(branch) for branch in branches_of)
    first.shortcut = second.shortcut = nn.Identity()  # without it they would be dense layers
    head = nn.Sequential(nn.Flatten(), nn.Linear(48, 4).double().requires_grad_(False))
    model = nn.Sequential(nn.Softplus(), first, second, head)
    images = torch.randn(3, 3, 4, 4, dtype=torch.float64)
    found = input_gradient(model, images, SkipGradient(1.0, projections=False, normalise=True))
    for i, image in enumerate(images):
        points = [image[None]]
        for layer in model[:-1]:
            points.append(layer(points[-1]))
        (slope,) = grad_of(head, points[3], weights(model(images))[i : i + 1])
        for layer, point in ((second, points[2]), (first, points[1])):
            (slope,) = grad_of(layer, point, slope)
            slope = slope / slope.std()
        (slope,) = grad_of(model[0], points[0], slope)
        torch.testing.assert_close(found[i], slope[0], rtol=1e-9, atol=1e-12)
    assert not any(module._forward_pre_hooks for module in model.modules())


def grad_of(layer: nn.Module, at: Tensor, slope: Tensor) -> tuple[Tensor, ...]:
    at = at.detach().requires_grad_(True)
    return torch.autograd.grad(layer(at), at, slope)


def test_a_normalised_gradient_of_zero_is_zero() -> None:
    model = nn.Sequential(Block(nn.Conv2d(1, 1, 1).double()), nn.Flatten())
    images = torch.zeros(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    with SkipGradient(0.5, projections=False, normalise=True).apply(model, run_state(examples(2))) as changed:
        (gradient,) = torch.autograd.grad((changed(images) * 0).sum(), images)
    assert torch.equal(gradient, torch.zeros_like(images))
