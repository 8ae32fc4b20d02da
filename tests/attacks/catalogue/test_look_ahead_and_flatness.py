"""Attacks that average gradients around the image or ahead of it: VNI, EMI, IE, GNP, PGN, MEF, RAP."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from bench_attacks.offsets import Neighbours, mean_units, per_pixel

from ..scene import examples, run_state
from .by_hand import One, follows, mean_unit


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 20, 13)])
def test_offsets_have_the_length_of_the_budget_at_any_size(shape: tuple[int, int, int]) -> None:
    """In L2 that is a Euclidean length: uniform numbers in [-1, 1] have the mean square 1/3."""
    given = examples(3, shape)
    state = run_state(given)
    euclidean_lengths = Neighbours(5, 2.0, "l2").offsets(given.images, state).flatten(2).norm(dim=2)
    torch.testing.assert_close(euclidean_lengths / 2, torch.full((3, 5), 3**-0.5).double(), rtol=0.25, atol=0)
    greatest = Neighbours(5, 2.0, "linf").offsets(given.images, state).flatten(2).abs().amax(2)
    assert ((greatest > 1.7) & (greatest <= 2)).all()
    ahead = per_pixel(state.step_size, "l2", given.images) * torch.ones_like(given.images)
    torch.testing.assert_close(ahead.flatten(1).norm(dim=1), state.step_size)


def test_units_are_those_of_each_point() -> None:
    gradients = torch.stack([torch.full((1, 2, 2), 4.0), torch.zeros(1, 2, 2), torch.full((1, 2, 2), -1e-30)])[None]
    assert mean_units(gradients).flatten(2).mean(2).tolist() == [[1, 0, -1]]


def nearby(one: One, radius: float, count: int) -> list[Tensor]:
    """Return points around the image, in a box of half side `radius` times eps."""
    half = one.per_pixel(radius * one.limits.eps)
    return [one.image + half * (2 * share - 1) for share in one.uniform("neighbours", count, *one.clean.shape)]


def test_vni() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum, variance = torch.zeros_like(one.clean), torch.zeros_like(one.clean)
        while True:
            ahead = one.gradient(one.image + one.per_pixel(one.limits.step_size) * 0.8 * momentum)
            momentum = 0.8 * momentum + mean_unit(ahead + variance)
            variance = sum(one.gradient(point) for point in nearby(one, 1.2, 3)) / 3 - ahead
            yield momentum

    follows("vni", transcription, neighbours=3, beta=1.2, decay=0.8)


def test_emi() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum, last = torch.zeros_like(one.clean), torch.zeros_like(one.clean)
        while True:
            offset = one.per_pixel(one.limits.step_size) * mean_unit(last)
            last = sum(one.gradient(one.image + factor * offset) for factor in (-3, -1, 1, 3)) / 4
            momentum = 0.9 * momentum + mean_unit(last)
            yield momentum

    follows("emi", transcription, along=4, reach=3.0, decay=0.9)


def test_ie() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            here = mean_unit(one.gradient(one.image))
            ahead = mean_unit(one.gradient(one.image + one.per_pixel(one.limits.step_size) * here))
            momentum = 0.9 * momentum + (here + ahead) / 2
            yield momentum

    follows("ie", transcription, decay=0.9)


@pytest.mark.parametrize(("second", "sign"), [("penalty", -1), ("average", 1)])
def test_gnp(second: str, sign: int) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            here = one.gradient(one.image)
            ahead = one.gradient(one.image + 0.05 * mean_unit(here))
            momentum = 0.9 * momentum + mean_unit((1 + 0.7) * here + sign * 0.7 * ahead)
            yield momentum

    follows("gnp", transcription, radius=0.05, beta=0.7, second=second, decay=0.9)


def test_pgn() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            total = torch.zeros_like(one.clean)
            for point in nearby(one, 2.5, 3):
                here = one.gradient(point)
                behind = one.gradient(point - one.per_pixel(one.limits.step_size) * mean_unit(here))
                total = total + 0.7 * here + 0.3 * behind
            momentum = 0.9 * momentum + mean_unit(total)
            yield momentum

    follows("pgn", transcription, neighbours=3, zeta=2.5, balance=0.3, decay=0.9)


def test_mef() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        memories = [torch.zeros_like(one.clean) for _ in range(3)]
        while True:
            total = torch.zeros_like(one.clean)
            for k, point in enumerate(nearby(one, 1.5, 3)):
                gradient = one.gradient(point + one.per_pixel(0.2 * one.limits.eps) * memories[k])
                memories[k] = mean_unit(gradient) - 0.8 * memories[k]
                total = total + gradient
            momentum = 0.5 * momentum + mean_unit(total)
            yield momentum

    follows("mef", transcription, steps=5, neighbours=3, reach=1.5, xi=0.2, inner_decay=0.8)


def euclidean(vector: Tensor) -> Tensor:
    return vector / (vector.norm() or 1)


def start(one: One, eps: float) -> Tensor:
    """Return a random point of the ball of radius `eps` around zero."""
    if one.limits.norm == "linf":
        return eps * (2 * one.uniform("start", *one.clean.shape) - 1)
    radius = one.uniform("start radius") ** (1 / one.clean.numel())
    return eps * radius * euclidean(one.normal("start", *one.clean.shape))


@pytest.mark.parametrize("late", [0, 2])
def test_rap(late: int) -> None:
    def inside(one: One, reverse: Tensor, eps: float) -> Tensor:
        if one.limits.norm == "linf":
            reverse = reverse.clamp(-eps, eps)
        elif reverse.norm() > eps:
            reverse = reverse * eps / reverse.norm()
        return (one.image + reverse).clamp(0, 1) - one.image

    def transcription(one: One) -> Iterator[Tensor]:
        eps = 0.7 * one.limits.eps
        while True:
            reverse = torch.zeros_like(one.clean)
            if one.step > late:
                reverse = inside(one, start(one, eps), eps)
                for _ in range(3):
                    slope = one.gradient(one.image + reverse)
                    steepest = slope.sign() if one.limits.norm == "linf" else euclidean(slope)
                    reverse = inside(one, reverse - eps / 4 * steepest, eps)
            yield one.gradient(one.image + reverse)

    follows("rap", transcription, reverse_steps=3, reverse_eps=0.7, reverse_step_size=0.25, late_start=late)
