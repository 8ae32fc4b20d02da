"""HybridIR, written out as the authors' code computes it, and the form in which all terms see the same noisy images."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from bench_core.grid import cells_to_pixels

from ..scene import run_state
from .by_hand import One, follows, slope

GRID, SAMPLES, CELLS, COPIES = 3, 4, 3, 5


def interaction(one: One, at: Tensor, inside: Tensor, rival: int) -> Tensor:
    """Return `v(all) - v(all without B_k) - v(B_k) + v(empty)`, averaged over the sets `inside` [k, cells]."""

    def utility(point: Tensor) -> Tensor:
        logits = one.model(point[None])[0]
        return logits[rival] - logits[one.given.labels[0]]

    total = torch.zeros((), dtype=torch.float64)
    for chosen in inside:
        kept = cells_to_pixels(chosen[None, None], GRID, one.clean.shape[-2:])[0, 0]
        without = one.clean + (at - one.clean) * ~kept
        alone = one.clean + (at - one.clean) * kept
        total = total + utility(at) - utility(without) - utility(alone) + utility(one.clean)
    return total / len(inside)


def rival_at(one: One, image: Tensor) -> int:
    if one.given.targets is not None:
        return int(one.given.targets)
    logits = one.model(image[None])[0].clone()
    logits[one.given.labels] = -torch.inf
    return int(logits.argmax())


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_is_summed_over_the_copies_and_the_interaction_is_added_once(reduction: str) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            rng, rival = run_state(one.given, one.step).rng, rival_at(one, one.image)
            noise = 0.1 * rng.normal("smoothing", (COPIES, *one.clean.shape))[0]
            inside = rng.subsets("interaction", SAMPLES, GRID**2, CELLS)[0]

            def objective(at: Tensor, noise: Tensor = noise, inside: Tensor = inside, rival: int = rival) -> Tensor:
                losses = torch.stack([one.loss(one.model((at + sample)[None]))[0] for sample in noise])
                loss = losses.sum() if reduction == "sum" else losses.mean()
                return loss - 2 * interaction(one, at, inside, rival)

            gradient = slope(objective, one.image)
            momentum = momentum + gradient / gradient.abs().sum()
            yield momentum

    options = {"grid": GRID, "samples": SAMPLES, "cells": CELLS, "copies": COPIES, "sigma": 0.1, "strength": 2.0}
    follows(["mi", "vr", "ir"], transcription, steps=3, reduction=reduction, **options)


def test_all_terms_may_see_the_same_noisy_images() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            state = run_state(one.given, one.step).repeated(COPIES)
            noise = 0.1 * run_state(one.given, one.step).rng.normal("smoothing", (COPIES, *one.clean.shape))[0]
            inside = state.rng.subsets("interaction", SAMPLES, GRID**2, CELLS)
            total = torch.zeros_like(one.clean)
            for sample, sets in zip(noise, inside, strict=True):
                rival = rival_at(one, one.image + sample)

                def objective(at: Tensor, sets: Tensor = sets, rival: int = rival) -> Tensor:
                    return one.loss(one.model(at[None]))[0] - 2 * interaction(one, at, sets, rival)

                total += slope(objective, one.image + sample)
            yield total / COPIES

    options = {"grid": GRID, "samples": SAMPLES, "cells": CELLS, "copies": COPIES, "sigma": 0.1, "strength": 2.0}
    follows(["vr", "ir"], transcription, steps=3, smooths="objective", **options)
