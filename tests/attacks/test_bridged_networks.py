"""Networks as other libraries use them: gradients can be flattened, and the network is left as it was."""

import pytest
import torch
from torch import nn

from bench_core.registry import Registry
from bench_core.types import Budget, Examples
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter

from .scene import network, streams

pytest.importorskip("torchattacks")
pytest.importorskip("foolbox")
pytest.importorskip("pyautoattack")

LINF, L2 = Budget("linf", 0.1, 0.03, 2), Budget("l2", 0.9, 0.3, 2)


def channels_last() -> nn.Module:
    """Return a network in the channels-last memory format, whose gradient is in this format too."""
    return network(3).float().to(memory_format=torch.channels_last)


def colour_images(model: nn.Module) -> Examples:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Examples(images, model(images).argmax(1), ("0" * 64, "1" * 64))


def test_the_gradient_of_a_channels_last_network_is_not_contiguous() -> None:
    model = channels_last()
    images = colour_images(model).images.requires_grad_()
    (gradient,) = torch.autograd.grad(model(images).sum(), images)
    assert not gradient.is_contiguous()


@pytest.mark.parametrize(
    ("name", "budget", "options"),
    [
        ("torchattacks:PGDL2", L2, {}),
        ("torchattacks:SparseFool", LINF, {}),
        ("foolbox:L2PGD", L2, {}),
        ("foolbox:L2DeepFoolAttack", L2, {}),
        ("autoattack", L2, {"only": ["apgd-ce"]}),
        ("autoattack", L2, {"only": ["fab"]}),
    ],
)
def test_a_channels_last_network_is_attacked_like_a_contiguous_one(
    installed: Registry, name: str, budget: Budget, options: dict[str, object]
) -> None:
    adversarial = []
    for model in (channels_last(), network(3).float()):
        attack, clean = installed.find("attacks", name, "", "").build(budget, **options), colour_images(model)
        passes = PassCounter(model)
        before = [(module.training, len(module._forward_hooks)) for module in model.modules()]
        (images,) = AttackRun(attack, model, clean, streams(clean), passes).steps()
        check_images(clean.images, images, budget)
        assert [(module.training, len(module._forward_hooks)) for module in model.modules()] == before
        assert passes.forwards > 0
        assert passes.backwards > 0
        adversarial.append(images)
    torch.testing.assert_close(*adversarial, atol=1e-3, rtol=0)
