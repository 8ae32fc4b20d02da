"""`lean` for networks of plugins: rewritten where the function stays the same, and otherwise left as they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench_core.lean import lean

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Strangers(nn.Module):
    """A network as a plugin might have it, whose pooled features are computed in one of several ways."""

    def __init__(self, pooled: Callable[[Strangers, Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            norm = nn.BatchNorm2d(8)
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            self.features = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.MaxPool2d(2))
            self.head = nn.Linear(8, 5)
        self.pooled = pooled

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pooled(self, images).mean((2, 3)))
        return logits


def usual(network: Strangers, images: Tensor) -> Tensor:
    return network.features(images)


def unpooled(network: Strangers, images: Tensor) -> Tensor:
    """The features before the pooling, by their place."""
    return network.features[:3](images)


def noisy(network: Strangers, images: Tensor) -> Tensor:
    features = network.features(images)
    return features + torch.randn_like(features)


def in_float32(network: Strangers, images: Tensor) -> Tensor:
    if images.dtype != torch.float32:
        raise TypeError("float32 only")
    return network.features(images)


def has_norm(network: nn.Module) -> bool:
    return any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def gradient(network: nn.Module) -> Tensor:
    images = IMAGES.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(network(images).square().sum(), images)
    return found


def test_a_network_of_a_plugin_keeps_its_function_and_loses_its_normalisation() -> None:
    expected, network = Strangers(usual).eval(), Strangers(usual).train()
    made = lean(network, IMAGES)
    assert made is network
    assert not has_norm(made)
    assert not made.training
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert [type(module) for module in made.features[2:]] == [nn.MaxPool2d, nn.ReLU]
    torch.testing.assert_close(made(IMAGES), expected(IMAGES), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(made), gradient(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pooled", [unpooled, noisy, in_float32])
def test_one_that_would_change_or_cannot_be_compared_is_left_as_it_is(
    pooled: Callable[[Strangers, Tensor], Tensor],
) -> None:
    expected, made = Strangers(pooled).eval(), lean(Strangers(pooled), IMAGES)
    assert has_norm(made)
    assert not made.training
    assert [type(module) for module in made.features] == [type(module) for module in expected.features]
    if pooled is not noisy:
        assert torch.equal(made(IMAGES), expected(IMAGES))
    assert all(
        torch.equal(a, b) for a, b in zip(made.state_dict().values(), expected.state_dict().values(), strict=True)
    )


def test_without_images_nothing_is_verified() -> None:
    expected, made = Strangers(unpooled).eval(), lean(Strangers(unpooled))
    assert not torch.allclose(made(IMAGES), expected(IMAGES))


def test_one_with_hooks_or_that_cannot_be_copied_is_left_as_it_is() -> None:
    seen: list[int] = []
    hooked = Strangers(usual)
    hooked.features[1].register_forward_hook(lambda *_: seen.append(1))
    assert has_norm(lean(hooked, IMAGES))
    assert not seen
    watched = Strangers(usual)
    watched.features[0].register_full_backward_hook(lambda *_: seen.append(1))
    assert has_norm(lean(watched, IMAGES))
    locked = Strangers(usual)
    locked.stream = (each for each in "a generator cannot be copied")
    assert has_norm(lean(locked, IMAGES))


def test_a_scripted_network_is_frozen_and_otherwise_left_as_it_is() -> None:
    network = torch.jit.script(Strangers(usual).features)
    expected = network(IMAGES)
    made = lean(network, IMAGES)
    assert made is network
    assert not made.training
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert expected.requires_grad


def test_random_states_stay_as_they_are() -> None:
    before = torch.get_rng_state()
    lean(Strangers(noisy), IMAGES)
    assert torch.equal(before, torch.get_rng_state())
