"""Attacks of one step, noise without queries, and the relaxed attack, which stops at a length."""

import math

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import composed
from bench_attacks.parts.raw import raw
from bench_attacks.parts.relaxed import relaxed
from bench_attacks.parts.single_step import single_step
from bench_core.errors import ContractError
from bench_core.types import Examples
from bench_core.worker.contracts import check_images

from .scene import budget, build, examples, gradient, network, run


def grey(count: int = 4) -> Examples:
    given = examples(count)
    given.images.mul_(0.2).add_(0.4)
    return given


def first_gradient(model: nn.Module, given: Examples) -> Tensor:
    return gradient(build("pgd", budget()), model, given, given.images)


def lengths(delta: Tensor) -> list[float]:
    return delta.flatten(1).norm(dim=1).tolist()


@pytest.mark.parametrize(("name", "size"), [("fgsm", 0.1), ("single_step", 0.06)])
def test_one_step_is_the_sign_of_the_gradient(name: str, size: float) -> None:
    model, given = network(), grey()
    (actual,) = run(build(name, budget(steps=2)), model, given)
    torch.testing.assert_close(actual, given.images + size * first_gradient(model, given).sign(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "size"), [("fgsm", 0.9), ("single_step", 0.6)])
def test_one_step_in_l2_is_along_the_gradient(name: str, size: float) -> None:
    model, given = network(), grey()
    (actual,) = run(build(name, budget("l2", steps=2)), model, given)
    gradient = first_gradient(model, given)
    unit = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(actual, given.images + size * unit, rtol=0, atol=1e-12)


def test_a_single_step_is_clipped_or_a_fault_but_never_silently_shorter() -> None:
    model, given = network(), grey()
    long = budget(steps=10)  # a step of 0.3 in a ball of 0.1
    assert (run(build("single_step", long), model, given)[0] - given.images).abs().max().item() == pytest.approx(0.1)
    unclipped = build("single_step", long, clip=False)
    assert "clip: found false, but the step of 0.3 leaves the ball of 0.1" in str(unclipped.check((1, 6, 6)))
    with pytest.raises(ContractError, match="outside the linf ball"):
        check_images(given.images, run(unclipped, model, given)[0], long)
    short = build("single_step", budget(steps=2), clip=False)
    assert short.check((1, 6, 6)) is None
    assert torch.equal(run(short, model, given)[0], run(build("single_step", budget(steps=2)), model, given)[0])


def test_the_raw_single_step_is_that_of_proposition_1() -> None:
    """`delta = alpha * m * gradient`, not its sign."""
    model, given = network(), grey()
    limits = budget("l2", eps=50.0, step_size=1e-3, steps=7)
    (actual,) = run(composed("", raw, single_step).build(limits), model, given)
    expected = given.images + 7e-3 * first_gradient(model, given)
    torch.testing.assert_close(actual, expected.clamp(0, 1), rtol=0, atol=1e-12)


def test_sign_noise_is_eps_everywhere_with_fair_signs() -> None:
    given = grey(40)
    delta = run(build("noise", budget()), network(), given)[0] - given.images
    assert delta.abs().flatten().tolist() == pytest.approx([0.1] * delta.numel())
    up = (delta > 0).double().mean().item()  # of 1,440 fair signs: standard deviation 0.013
    assert up == pytest.approx(0.5, abs=5 * 0.0132)


def test_noise_in_l2_is_as_long_as_the_budget() -> None:
    given = grey()
    for name in ("noise", "gaussian"):
        assert lengths(run(build(name, budget("l2", eps=0.5)), network(), given)[0] - given.images) == pytest.approx(
            [0.5] * 4
        )


@pytest.mark.parametrize(("norm", "length"), [("l2", 0.7), ("linf", 0.3), ("linf", 0.55)])
def test_gaussian_noise_has_the_given_length_even_where_it_is_clipped(norm: str, length: float) -> None:
    """At 6 x 6 pixels and eps 0.1 no perturbation is longer than 0.6, and black and white images lose half of it."""
    given, limits = examples(6), budget(norm)
    (actual,) = run(build("gaussian", limits, length=length), network(), given)
    check_images(given.images, actual, limits)
    actual_lengths = lengths(actual - given.images)
    assert actual_lengths[2:] == pytest.approx([length] * 4)
    reachable = length if norm == "l2" or length == 0.3 else None
    if reachable:
        assert actual_lengths[:2] == pytest.approx([length] * 2)
    else:
        assert all(shorter < length for shorter in actual_lengths[:2])


def test_gaussian_noise_is_gaussian_and_not_its_sign() -> None:
    given = grey(30)
    delta = (run(build("gaussian", budget()), network(), given)[0] - given.images).flatten(1)
    assert delta.abs().amax(1).tolist() == pytest.approx([0.1] * 30)
    scaled = delta / delta.std(1, keepdim=True)
    assert (scaled**4).mean().item() == pytest.approx(3, abs=0.6)  # the fourth moment of a normal number; a sign's is 1


def test_a_length_beyond_the_ball_is_rejected() -> None:
    attack = build("gaussian", budget("l2"), length=1.0)
    assert "length: found 1, more than the budget's eps 0.9" in str(attack.check((1, 6, 6)))


class Linear(nn.Module):
    """Two classes, the margin of the second over the first is `w . x`."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, images: Tensor) -> Tensor:
        value = images.flatten(1) @ self.weight
        return torch.stack([value, torch.zeros_like(value)], dim=1)


def linear() -> tuple[Linear, Examples]:
    given = grey(3)
    weight = torch.randn(36, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return Linear(weight / weight.norm()), Examples(given.images, torch.ones(3, dtype=torch.int64), given.ids)


def test_the_relaxed_objective_ends_at_its_optimum() -> None:
    """For a margin `w . delta` with `norm(w) = 1`, eq. 8 with p = 2 is best at `delta = w / (2 c)`."""
    model, given = linear()
    limits = budget("l2", eps=1.0, step_size=0.05, steps=300)
    optimum = composed("", relaxed, raw).build(limits, c=2.0, p=2.0)
    expected = (given.images + model.weight.view(1, 6, 6) / 4).clamp(0, 1)
    torch.testing.assert_close(run(optimum, model, given)[-1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("p", [2.0, 5.0])
def test_the_relaxed_gradient_has_the_gradient_of_the_penalty(p: float) -> None:
    model, given = network(), examples()
    attack, plain = build("relaxed", budget("l2"), c=0.7, p=p), build("pgd", budget("l2"))
    moved = run(build("noise", budget("l2")), model, given)[0]
    delta = moved - given.images
    actual = gradient(attack, model, given, moved) - gradient(plain, model, given, moved)
    torch.testing.assert_close(actual, -0.7 * p * delta.sign() * delta.abs() ** (p - 1), rtol=1e-9, atol=1e-10)


def test_an_image_stops_at_the_length_and_stays_there_while_others_go_on() -> None:
    model, given = network(), examples(4)
    limits = budget("l2", eps=0.5, step_size=0.06, steps=14)
    trajectory = run(build("relaxed", limits, c=0.0), model, given)
    arrived: dict[int, int] = {}
    for step, images in enumerate(trajectory):
        for i, length in enumerate(lengths(images - given.images)):
            if length >= 0.5 - 1e-9:
                arrived.setdefault(i, step)
    assert set(arrived) >= {2, 3}
    assert min(arrived.values()) >= math.floor(0.5 / 0.06)
    for i, step in arrived.items():
        assert lengths(trajectory[step] - given.images)[i] == pytest.approx(0.5, abs=1e-9)
        assert all(torch.equal(images[i], trajectory[step][i]) for images in trajectory[step:])
    projected = run(build("pgd", limits), model, given)
    assert not torch.equal(projected[-1], trajectory[-1]), "projected ascent goes on along the sphere"


def test_the_relaxed_attack_rejects_a_budget_in_linf() -> None:
    attack = build("relaxed", budget())
    assert "norm: found a budget in linf" in str(attack.check((1, 6, 6)))
