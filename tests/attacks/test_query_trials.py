"""SimBA and GFCS, against transcriptions of one image at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.balls import BALLS
from bench_core.logits import cross_entropy, margin, strongest_other
from bench_core.testing.inputs import examples, network
from bench_core.testing.surrogate import WithSurrogate
from bench_core.types import Examples, Norm
from bench_core.worker.streams import ImageStreams
from bench_models.ensemble import Ensemble

from .scene import budget, build, run

SHAPE, COUNT, QUERIES = (1, 12, 12), 6, 100
EPS: dict[Norm, tuple[float, float]] = {"linf": (0.12, 0.06), "l2": (1.2, 0.3)}
# image, its logits, directions tried, of which since the last kept -> direction
Choose = Callable[[Tensor, Tensor, int, int], Tensor]


def by_hand(model: nn.Module, given: Examples, norm: Norm, choose: Choose) -> Tensor:
    """Algorithm 1 of both papers: a step forth, a step back, kept where the margin of the label rises."""
    clean, (eps, step) = given.images, EPS[norm]
    best, tried, failed, left = clean, 0, 0, QUERIES

    def ask(image: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        return model(image)

    def lead(answer: Tensor) -> float:
        return float(-cross_entropy(answer, given.targets) if aimed else margin(answer, given.labels))

    def fooled(answer: Tensor) -> bool:
        return bool(answer.argmax(1) == given.targets if aimed else answer.argmax(1) != given.labels)

    aimed = given.targets is not None
    answer = ask(best)
    while left and not fooled(answer):
        direction = choose(best[0], answer[0], tried, failed)
        direction = direction.sign() if norm == "linf" else direction / direction.norm()
        kept = False
        for sign in (1, -1):
            if not left or kept:
                break
            trial = (clean + BALLS[norm].project(best + sign * step * direction - clean, eps)).clamp(0, 1)
            found = ask(trial)
            if fooled(found) or lead(found) > lead(answer):
                best, answer, kept = trial, found, True
        tried, failed = tried + 1, 0 if kept else failed + 1
    return best if fooled(answer) else clean


def simba(rng: ImageStreams, waves: bool, share: float) -> Choose:
    c, h, w = SHAPE
    down, across = (math.ceil(share * h), math.ceil(share * w)) if waves else (h, w)

    def wave(frequency: int, place: int, side: int) -> float:
        return math.cos(math.pi * (place + 0.5) * frequency / side)

    def choose(_best: Tensor, _answer: Tensor, tried: int, _failed: int) -> Tensor:
        again, place = divmod(tried, c * down * across)
        index = int(rng.uniform("simba order", again, (c * down * across,))[0].argsort()[place])
        row, column = divmod(index % (down * across), across)
        direction = torch.zeros(SHAPE, dtype=torch.float64)
        if not waves:
            direction[0, row, column] = 1
            return direction
        for y in range(h):
            for x in range(w):
                direction[0, y, x] = wave(row, y, h) * wave(column, x, w)
        return direction / direction.norm()

    return choose


def gfcs(rng: ImageStreams, label: int, target: Tensor | None, surrogates: list[nn.Module]) -> Choose:
    def choose(best: Tensor, answer: Tensor, tried: int, failed: int) -> Tensor:
        at = best[None].clone().requires_grad_(True)
        if failed < len(surrogates):
            order = rng.uniform("gfcs order", tried - failed, (len(surrogates),))[0].argsort()
            logits = surrogates[int(order[failed])](at)[0]
            rival = max((k for k in range(len(answer)) if k != label), key=lambda k: float(answer[k]))
            value = logits[rival] - logits[label] if target is None else logits.log_softmax(0)[target]
        else:
            logits = surrogates[int(rng.uniform("gfcs surrogate", tried, ())[0] * len(surrogates))](at)[0]
            value = ((2 * rng.uniform("gfcs coimage", tried, (len(logits),))[0].double() - 1) * logits).sum()
        return torch.autograd.grad(value, at)[0][0]

    return choose


def each(given: Examples) -> Iterator[tuple[int, Examples, ImageStreams]]:
    for i in range(COUNT):
        one = given.take(slice(i, i + 1))
        yield i, one, ImageStreams(0, one.ids)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("options", [{"basis": "pixels"}, {"basis": "cosines", "frequencies": 0.3}])
def test_simba(norm: Norm, options: dict[str, Any]) -> None:
    model = network()
    given = examples(model, SHAPE, COUNT, dtype=torch.float64)
    eps, step = EPS[norm]
    limits = budget(norm, eps=eps, step_size=step, steps=QUERIES, loss="margin")
    found = run(build("simba", limits, SHAPE, **options), model, given)[-1]
    for i, one, rng in each(given):
        choose = simba(rng, options["basis"] == "cosines", options.get("frequencies", 1))
        assert (found[i] - by_hand(model, one, norm, choose)[0]).abs().max() < 1e-9


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targeted", [False, True])
def test_gfcs(norm: Norm, targeted: bool) -> None:
    model, surrogates = network(), [network(seed=seed).double() for seed in (1, 2)]
    given = examples(model, SHAPE, COUNT, dtype=torch.float64)
    eps, step = EPS[norm]
    loss = "cross_entropy" if targeted else "margin"
    limits = budget(norm, eps=eps, step_size=step, steps=QUERIES, loss=loss, targeted=targeted)
    given = replace(given, targets=strongest_other(model(given.images), given.labels)) if targeted else given
    source = WithSurrogate(model, Ensemble(surrogates, "logits"))
    found = run(build("gfcs", limits, SHAPE), source, given)[-1]
    assert (found != given.images).flatten(1).any(1).any()
    for i, one, rng in each(given):
        expected = by_hand(model, one, norm, gfcs(rng, int(one.labels), one.targets, surrogates))
        assert (found[i] - expected[0]).abs().max() < 1e-9


def test_gfcs_on_a_network_without_a_surrogate_is_refused() -> None:
    reason = build("gfcs", budget("l2"), SHAPE).check_source(network())
    assert "with_surrogate" in str(reason)
