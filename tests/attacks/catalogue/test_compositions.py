"""Estimators with views, kernels, momentum and changed networks, as the papers combine them."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from bench_attacks.compose import join
from bench_attacks.plugin import RECIPES
from bench_core.types import Attack
from bench_core.worker.instrument import PassCounter

from ..scene import budget, examples, network, run
from .by_hand import One, follows, mean_unit, slope

ESTIMATORS = ["vni", "emi", "ie", "gnp", "pgn", "mef", "rap", "taig_s", "taig_r", "mumodig", "anda"]


def composed(parts: list[str], **changes: object) -> Attack:
    recipe = join([RECIPES[part] for part in parts])
    options = {**(recipe.examples or [{}])[0], "kernel": 3, "scales": 2}
    known = recipe.build.__signature__.parameters  # type: ignore[attr-defined]
    return recipe.build(budget(**changes), **{key: value for key, value in options.items() if key in known})


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_composition_is_independent_of_the_batch_and_costs_what_it_declares(
    name: str, norm: str, targeted: bool
) -> None:
    parts = [name, "si", "di", "ti", "sgm"]
    given, model = examples(4, (3, 7, 6), targeted), network(3)
    attack = composed(parts, norm=norm, targeted=targeted)
    passes = PassCounter(model)
    with passes.counting():
        together = run(attack, model, given)
    assert (passes.forwards / 4, passes.backwards / 4) == attack.cost.total(3)  # type: ignore[attr-defined]
    for i in range(4):
        alone = run(attack, model, given.take(slice(i, i + 1)))
        for images, image in zip(together, alone, strict=True):
            torch.testing.assert_close(images[i], image[0], rtol=0, atol=1e-9)
    assert not torch.equal(together[-1], run(composed([name], norm=norm, targeted=targeted), model, given)[-1])


def smoothed(gradient: Tensor) -> Tensor:
    """Convolve with the kernel of `ti` with three pixels."""
    weights = torch.exp(-(torch.tensor([-3.0, 0.0, 3.0], dtype=torch.float64) ** 2) / 2)
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    return torch.nn.functional.conv2d(gradient[:, None], kernel[None, None], padding=1)[:, 0]


def scaled(one: One, image: Tensor) -> Tensor:
    """Return the gradient of the mean loss over the image and its half."""
    return slope(lambda at: sum(one.loss(one.model(at[None] / 2**i))[0] for i in range(2)) / 2, image)


def test_emi_with_si_and_ti() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum, last = torch.zeros_like(one.clean), torch.zeros_like(one.clean)
        while True:
            offset = one.per_pixel(one.limits.step_size) * mean_unit(last)
            last = sum(scaled(one, one.image + factor * offset) for factor in (-7, 0, 7)) / 3
            momentum = momentum + mean_unit(smoothed(last))
            yield momentum

    follows(["emi", "si", "ti"], transcription, along=3, scales=2, kernel=3)


def test_pgn_with_si_and_ti() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        half = one.per_pixel(3 * one.limits.eps)
        while True:
            total = torch.zeros_like(one.clean)
            for share in one.uniform("neighbours", 2, *one.clean.shape):
                point = one.image + half * (2 * share - 1)
                here = scaled(one, point)
                behind = scaled(one, point - one.per_pixel(one.limits.step_size) * mean_unit(here))
                total = total + here + behind
            momentum = momentum + mean_unit(smoothed(total))
            yield momentum

    follows(["pgn", "si", "ti"], transcription, neighbours=2, scales=2, kernel=3)


def test_rap_with_momentum() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum, eps = torch.zeros_like(one.clean), one.limits.eps
        while True:
            reverse = eps * (2 * one.uniform("start", *one.clean.shape) - 1)
            reverse = (one.image + reverse).clamp(0, 1) - one.image
            lower = (reverse - eps / 8 * one.gradient(one.image + reverse).sign()).clamp(-eps, eps)
            momentum = 0.9 * momentum + mean_unit(one.gradient((one.image + lower).clamp(0, 1)))
            yield momentum

    follows(["rap", "mi"], transcription, norms=["linf"], reverse_steps=1, decay=0.9)


def test_the_views_of_anda_compose_with_an_estimator() -> None:
    attack = composed(["vni", "anda"])
    assert attack.cost.forwards == 4 * 4  # type: ignore[attr-defined]
