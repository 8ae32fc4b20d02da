"""A lean network computes the same function: every rewrite is compared with what torch computes."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench_core.lean import lean
from bench_core.lean.activations import activate_in_place
from bench_core.lean.folding import Affine
from bench_core.lean.thin_conv import ThinConv2d, is_thin
from tests.properties import UNTIMED


def mixture_gradient(module: Callable[[Tensor], Tensor], images: Tensor, seed: int = 0) -> Tensor:
    """Return the gradient of a random linear combination of the outputs."""
    images = images.clone().requires_grad_(True)
    out = module(images)
    mixture = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(seed))
    (gradient,) = torch.autograd.grad((out * mixture).sum(), images)
    return gradient


sides = st.integers(1, 24)


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 5), st.integers(0, 6), sides, sides)
@settings(UNTIMED, max_examples=150)
def test_the_gradient_of_a_thin_convolution_is_that_of_the_plain_one(channels, kernel, stride, padding, height, width):
    assume(padding < kernel <= min(height, width) + 2 * padding)
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, 5, kernel, stride, padding).double().requires_grad_(False)
    images = torch.rand(2, channels, height, width, dtype=torch.float64)
    assert is_thin(plain)
    thin = ThinConv2d.from_conv(plain)
    assert torch.equal(thin(images), plain(images))
    torch.testing.assert_close(mixture_gradient(thin, images), mixture_gradient(plain, images))


def test_a_thin_convolution_can_be_differentiated_twice() -> None:
    thin = ThinConv2d.from_conv(nn.Conv2d(1, 2, 3, 1, 1).double().requires_grad_(False))
    images = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: thin(x) ** 2, images)


def test_a_thin_convolution_keeps_its_weights_gradient_and_follows_new_weights() -> None:
    plain = nn.Conv2d(1, 4, 3, padding=1)
    thin, images = ThinConv2d.from_conv(plain), torch.rand(2, 1, 8, 8)
    thin(images.requires_grad_(True)).sum().backward()
    assert plain.weight.grad is not None
    assert plain.weight.grad.abs().sum() > 0
    thin.requires_grad_(False)
    with torch.no_grad():
        thin.weight.mul_(3)
    torch.testing.assert_close(mixture_gradient(thin, images), mixture_gradient(plain, images))
    assert list(thin.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(8, 8, 3), nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(1, 2, 3, dilation=2), nn.Conv2d(1, 2, (3, 1)),
        nn.Conv2d(1, 2, 3, stride=(1, 2)), nn.Conv2d(1, 2, 3, padding="same"), nn.Conv2d(1, 2, 1, padding=1),
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), nn.Conv1d(1, 2, 3),
    ],
)  # fmt: skip
def test_other_convolutions_are_left_alone(other: nn.Module) -> None:
    assert not is_thin(other)


def test_gradients_in_bfloat16_pass_a_thin_convolution() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        ThinConv2d.from_conv(nn.Conv2d(3, 8, 3, padding=1)), nn.ReLU(), nn.Flatten()
    ).requires_grad_(False)

    def in_bfloat16(images: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return network(images).float()

    images = torch.rand(2, 3, 8, 8)
    actual, exact = mixture_gradient(in_bfloat16, images), mixture_gradient(network, images)
    assert actual.dtype == torch.float32
    assert (actual - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("affine", [True, False])
def test_a_normalisation_that_is_not_folded_is_a_factor_and_a_shift(affine: bool) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6, affine=affine).double()
    norm(torch.randn(16, 6, 4, 4, dtype=torch.float64) * 3 + 1)
    features = torch.randn(2, 6, 5, 5, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    affine_layer = Affine(norm.eval())
    torch.testing.assert_close(affine_layer(features), norm(features))
    assert affine_layer(features).is_contiguous(memory_format=torch.channels_last)
    assert Affine(nn.BatchNorm2d(6).eval())(features.bfloat16()).dtype == torch.bfloat16


class Shared(nn.Module):
    """A network with ReLUs that must not overwrite their input, and two that may (`conv` and `sum`)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
        self.same = nn.Identity()
        names = ("images", "seen", "alias", "twice", "view", "conv", "sum")
        self.relus = nn.ModuleDict({name: nn.ReLU() for name in names})

    def forward(self, images: Tensor) -> Tensor:
        relu = self.relus
        start = relu["images"](images)
        seen = self.first(start)
        out = relu["seen"](seen) + seen
        aliased = self.second(out)
        out = relu["alias"](self.same(aliased)) * self.same(aliased)
        out = relu["view"](out.transpose(2, 3))
        once = relu["twice"](self.third(out))
        again = relu["twice"](once)
        return relu["sum"](relu["conv"](self.first(again)) + once)


def test_activations_overwrite_only_tensors_without_other_users() -> None:
    torch.manual_seed(0)
    plain, images = Shared().double(), torch.randn(2, 2, 5, 5, dtype=torch.float64)
    expected, gradient = plain(images), mixture_gradient(plain, images)
    changed = activate_in_place(plain)
    original = images.clone()
    assert {name for name, relu in changed.relus.items() if relu.inplace} == {"conv", "sum"}
    assert torch.equal(changed(images), expected)
    assert torch.equal(mixture_gradient(changed, images), gradient)
    assert torch.equal(images, original)


def test_a_lean_network_keeps_its_modules_names() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    names = [name for name, _ in network.named_modules()]
    assert [name for name, _ in lean(network).named_modules()] == names
    assert not any(parameter.requires_grad for parameter in network.parameters())
