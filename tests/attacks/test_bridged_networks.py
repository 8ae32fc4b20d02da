"""What other libraries get of a network: gradients that they can flatten, and nothing left changed."""

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


def last_channels() -> nn.Module:
    """A network laid out as processors like it, whose gradient in the images is laid out so too."""
    return network(3).float().to(memory_format=torch.channels_last)


def colours(model: nn.Module) -> Examples:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Examples(images, model(images).argmax(1), ("0" * 64, "1" * 64))


def test_the_gradient_of_such_a_network_is_not_contiguous() -> None:
    model = last_channels()
    images = colours(model).images.requires_grad_()
    (gradient,) = torch.autograd.grad(model(images).sum(), images)
    assert not gradient.is_contiguous()


@pytest.mark.parametrize(
    ("name", "budget", "given"),
    [
        ("torchattacks:PGDL2", L2, {}),
        ("torchattacks:SparseFool", LINF, {}),
        ("foolbox:L2PGD", L2, {}),
        ("foolbox:L2DeepFoolAttack", L2, {}),
        ("autoattack", L2, {"only": ["apgd-ce"]}),
        ("autoattack", L2, {"only": ["fab"]}),
    ],
)
def test_a_network_of_any_layout_is_attacked_as_one_of_the_usual(
    installed: Registry, name: str, budget: Budget, given: dict[str, object]
) -> None:
    reached = []
    for model in (last_channels(), network(3).float()):
        attack, on = installed.find("attacks", name, "", "").build(budget, **given), colours(model)
        passes = PassCounter(model)
        before = [(module.training, len(module._forward_hooks)) for module in model.modules()]
        (images,) = AttackRun(attack, model, on, streams(on), passes).steps()
        check_images(on.images, images, budget)
        assert [(module.training, len(module._forward_hooks)) for module in model.modules()] == before
        assert passes.forwards > 0
        assert passes.backwards > 0
        reached.append(images)
    torch.testing.assert_close(*reached, atol=1e-3, rtol=0)
