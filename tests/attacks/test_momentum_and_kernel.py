"""Momentum in both its forms, and the translation-invariant kernel, against explicit loops."""

import math

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import composed
from bench_attacks.kinds import Filter
from bench_attacks.parts.mi import Momentum, mi
from bench_attacks.parts.raw import raw
from bench_attacks.parts.ti import TranslationKernel, ti
from bench_core.types import Examples

from .scene import budget, build, examples, gradient, network, run, run_state


def gradients(model: nn.Module, trajectory: list[Tensor]) -> list[Tensor]:
    """Return the loss's gradient at the clean images and at all but the last images of a trajectory."""
    given, plain = examples(), build("pgd", budget("l2"))
    points = [given.images, *trajectory[:-1]]
    return [gradient(plain, model, given, images) for images in points]


def filtered(part: Filter, *sequence: Tensor) -> list[Tensor]:
    """Pass the gradients of some steps through a filter."""
    given = Examples(torch.zeros_like(sequence[0]), torch.zeros(len(sequence[0])), ("",) * len(sequence[0]))
    state, outputs = part.init(given.images), []
    for step, step_gradient in enumerate(sequence, 1):
        output, state = part.update(step_gradient, state, run_state(given, step))
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_momentum_accumulates_gradients_of_norm_one(decay: float) -> None:
    model, given = network(), examples()
    trajectory = run(build("mi", budget("linf", steps=5), decay=decay), model, given)
    memory, images = torch.zeros_like(given.images), given.images
    for slope, reached in zip(gradients(model, trajectory), trajectory, strict=True):
        for i in range(len(given.ids)):
            memory[i] = decay * memory[i] + slope[i] / slope[i].abs().sum()
        images = (given.images + (images + 0.03 * memory.sign() - given.images).clamp(-0.1, 0.1)).clamp(0, 1)
        torch.testing.assert_close(reached, images, rtol=0, atol=1e-12)


def test_the_papers_momentum_is_the_mean_of_all_gradients() -> None:
    """Eq. 33 with `mu = (t-1)/t` unrolled: `g_t = (1/t) * sum of the gradients so far`."""
    model, given = network(), examples(3, (1, 6, 6))
    limits = budget("l2", steps=5, step_size=1e-3, eps=50.0)
    given.images.mul_(0.5).add_(0.25)
    trajectory = run(composed("", mi, raw).build(limits, decay="average"), model, given)
    plain = build("pgd", limits)
    history, images = [], given.images
    for reached in trajectory:
        history.append(gradient(plain, model, given, images))
        images = images + 1e-3 * torch.stack(history).mean(0)
        torch.testing.assert_close(reached, images, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_a_zero_gradient_leaves_the_momentum_as_it_is(decay: float) -> None:
    steps = [torch.tensor(pair).view(2, 1, 1, 1) for pair in ([3.0, -1.0], [0.0, 2.0])]
    first, second = filtered(Momentum(decay), *steps)
    assert second.flatten().tolist() == [first[0].item(), pytest.approx(-decay + 1)]


def test_the_mean_is_that_of_the_gradients_that_are_not_zero() -> None:
    """Per image: the second gradient of the first image and the first gradient of the second image are zero."""
    steps = [torch.tensor(pair).view(2, 1, 1, 1) for pair in ([3.0, 0], [0, 2.0], [5.0, 6.0])]
    assert [output.flatten().tolist() for output in filtered(Momentum("average"), *steps)] == [[3, 0], [3, 2], [4, 4]]


def test_tiny_gradients_do_not_underflow() -> None:
    (tiny,) = filtered(Momentum(1.0), torch.full((1, 1, 2, 2), 1e-42))
    assert tiny.flatten().tolist() == pytest.approx([0.25] * 4, rel=1e-2)


def test_the_kernel_is_the_authors() -> None:
    """15 x 15 over +-3 standard deviations: `outer(pdf, pdf)` of `linspace(-3, 3, 15)`, of sum one."""
    impulse = torch.zeros(1, 2, 21, 21, dtype=torch.float64)
    impulse[0, 1, 10, 10] = 1
    response = filtered(TranslationKernel(15), impulse)[0][0]
    assert response[0].abs().max() == 0, "channels are not mixed"
    pdf = [math.exp(-((-3 + 6 * i / 14) ** 2) / 2) for i in range(15)]
    kernel = torch.tensor([[a * b for b in pdf] for a in pdf], dtype=torch.float64) / sum(pdf) ** 2
    torch.testing.assert_close(response[1, 3:18, 3:18], kernel)
    assert response.sum().item() == pytest.approx(1)


def test_the_kernel_comes_before_the_momentum_however_the_parts_are_ordered() -> None:
    given, model = examples(), network()
    mi_ti = run(composed("", mi, ti).build(budget(), kernel=3), model, given)[-1]
    ti_mi = run(composed("", ti, mi).build(budget(), kernel=3), model, given)[-1]
    assert torch.equal(mi_ti, ti_mi)
    assert not torch.equal(mi_ti, run(build("mi", budget()), model, given)[-1])


def test_a_kernel_of_one_pixel_changes_nothing_and_an_even_one_is_rejected() -> None:
    given, model = examples(), network()
    plain = run(build("pgd", budget()), model, given)[-1]
    assert torch.equal(run(build("ti", budget(), kernel=1), model, given)[-1], plain)
    with pytest.raises(ValueError, match="kernel: found 14"):
        build("ti", budget(), kernel=14)


def test_a_momentum_may_divide_by_the_mean_or_by_nothing() -> None:
    steps = [torch.tensor([[3.0, -1.0]]).view(1, 1, 1, 2), torch.tensor([[0.0, 4.0]]).view(1, 1, 1, 2)]
    assert [out.flatten().tolist() for out in filtered(Momentum(0.5, "mean"), *steps)] == [[1.5, -0.5], [0.75, 1.75]]
    assert [out.flatten().tolist() for out in filtered(Momentum(0.5, "none"), *steps)] == [[3, -1], [1.5, 3.5]]
    (tiny,) = filtered(Momentum(1.0, "mean"), torch.full((1, 1, 2, 2), 1e-42))
    assert tiny.flatten().tolist() == pytest.approx([1] * 4, rel=1e-2)
