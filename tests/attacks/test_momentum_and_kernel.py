"""Momentum in both its forms, and the translation-invariant kernel, against loops that spell them out."""

import math

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import composed
from bench_attacks.descent import Descent
from bench_attacks.draw import Draw
from bench_attacks.filters import Momentum, TranslationKernel
from bench_attacks.parts import mi, raw, ti

from .scene import budget, build, examples, network, run, streams


def gradients(model: nn.Module, trajectory: list[Tensor]) -> list[Tensor]:
    """The loss's gradient at the clean images and at all but the last of a trajectory."""
    given, plain = examples(), build("pgd", budget("l2"))
    assert isinstance(plain, Descent)
    points = [given.images, *trajectory[:-1]]
    return [plain.gradient(model, given, images, Draw(streams(given), 1, images)) for images in points]


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_momentum_accumulates_gradients_of_length_one(decay: float) -> None:
    model, given = network(), examples()
    trajectory = run(build("mi", budget("linf", steps=5), decay=decay), model, given)
    memory, images = torch.zeros_like(given.images), given.images
    for gradient, reached in zip(gradients(model, trajectory), trajectory, strict=True):
        for i in range(len(given.ids)):
            memory[i] = decay * memory[i] + gradient[i] / gradient[i].abs().sum()
        images = (given.images + (images + 0.03 * memory.sign() - given.images).clamp(-0.1, 0.1)).clamp(0, 1)
        torch.testing.assert_close(reached, images, rtol=0, atol=1e-12)


def test_the_papers_momentum_is_the_mean_of_all_gradients() -> None:
    """Eq. 33 with `mu = (t-1)/t` unrolled: `g_t = (1/t) * sum of the gradients so far`."""
    model, given = network(), examples(3, (1, 6, 6))
    limits = budget("l2", steps=5, step_size=1e-3, eps=50.0)
    given.images.mul_(0.5).add_(0.25)
    trajectory = run(composed("", mi, raw).build(limits, decay="average"), model, given)
    plain = build("pgd", limits)
    assert isinstance(plain, Descent)
    seen, images = [], given.images
    for reached in trajectory:
        seen.append(plain.gradient(model, given, images, Draw(streams(given), 1, images)))
        images = images + 1e-3 * torch.stack(seen).mean(0)
        torch.testing.assert_close(reached, images, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_a_zero_gradient_leaves_the_momentum_as_it_is(decay: float) -> None:
    push = Momentum(decay).start()
    first = push(torch.tensor([3.0, -1.0]).view(2, 1, 1, 1), 1)
    second = push(torch.tensor([0.0, 2.0]).view(2, 1, 1, 1), 2)
    assert second.flatten().tolist() == [first[0].item(), pytest.approx(-decay + 1)]


def test_the_mean_is_that_of_the_gradients_that_are_not_zero() -> None:
    """Each image's own: the second and the first gradient of one of the two are zero."""
    push = Momentum("average").start()
    seen = [push(torch.tensor(pair).view(2, 1, 1, 1), t) for t, pair in enumerate([[3.0, 0], [0, 2.0], [5.0, 6.0]], 1)]
    assert [each.flatten().tolist() for each in seen] == [[3, 0], [3, 2], [4, 4]]


def test_tiny_gradients_do_not_underflow() -> None:
    push = Momentum(1.0).start()
    tiny = push(torch.full((1, 1, 2, 2), 1e-42), 1)
    assert tiny.flatten().tolist() == pytest.approx([0.25] * 4, rel=1e-2)


def test_the_kernel_is_the_authors() -> None:
    """15 x 15 over +-3 standard deviations: `outer(pdf, pdf)` of `linspace(-3, 3, 15)`, of sum one."""
    impulse = torch.zeros(1, 2, 21, 21, dtype=torch.float64)
    impulse[0, 1, 10, 10] = 1
    answer = TranslationKernel(15).start()(impulse, 1)[0]
    assert answer[0].abs().max() == 0, "channels are not mixed"
    pdf = [math.exp(-((-3 + 6 * i / 14) ** 2) / 2) for i in range(15)]
    kernel = torch.tensor([[a * b for b in pdf] for a in pdf], dtype=torch.float64) / sum(pdf) ** 2
    torch.testing.assert_close(answer[1, 3:18, 3:18], kernel)
    assert answer.sum().item() == pytest.approx(1)


def test_the_kernel_comes_before_the_momentum_however_the_parts_are_ordered() -> None:
    given, model = examples(), network()
    one = run(composed("", mi, ti).build(budget(), kernel=3), model, given)[-1]
    other = run(composed("", ti, mi).build(budget(), kernel=3), model, given)[-1]
    assert torch.equal(one, other)
    assert not torch.equal(one, run(build("mi", budget()), model, given)[-1])


def test_a_kernel_of_one_pixel_changes_nothing_and_an_even_one_is_refused() -> None:
    given, model = examples(), network()
    plain = run(build("pgd", budget()), model, given)[-1]
    assert torch.equal(run(build("ti", budget(), kernel=1), model, given)[-1], plain)
    with pytest.raises(ValueError, match="kernel: found 14"):
        build("ti", budget(), kernel=14)
