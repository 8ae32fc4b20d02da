"""Parts that read the run's state or query several points, each against an explicit loop in float64."""

from collections.abc import Generator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import composed
from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.messages import Answer, Passes, Query
from bench_attacks.parts.ir import ir
from bench_attacks.parts.mi import mi
from bench_attacks.parts.ni import ni
from bench_attacks.parts.until_success import until_success
from bench_attacks.parts.vr import vr
from bench_attacks.run_state import RunState
from bench_core.worker.instrument import PassCounter

from .scene import budget, examples, network, run, run_state, streams


def loss_gradient(model: nn.Module, image: Tensor, label: Tensor) -> Tensor:
    image = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(image[None]), label[None]), image)
    return gradient


@dataclass(frozen=True)
class Tuned:
    """The gradient plus the variance of the step before, and after a second query the mean of both (VMI and IE)."""

    neighbours: int
    radius: float

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(2 + self.neighbours)

    def init(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images)

    def estimate(
        self, images: Tensor, variance: Tensor, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        noise = self.radius * (2 * run.rng.uniform("neighbours", (self.neighbours, *images.shape[1:])) - 1)
        answer = yield Query(torch.cat([images[:, None], images[:, None] + noise], dim=1))
        first, around = answer.gradients[:, 0], answer.gradients[:, 1:].mean(1)
        ahead = yield Query((images + 0.01 * first.sign())[:, None])
        return (first + variance + ahead.gradients[:, 0]) / 2, around - first


def tuned(attack: GradientAttack) -> GradientAttack:
    """Use an estimator with two queries, one of them of several points, and a state."""
    return attack.set_once(estimator=Tuned(3, 0.05))


def test_an_estimator_queries_twice_and_has_a_state() -> None:
    given, model = examples(), network()
    trajectory = run(composed("", tuned, mi).build(budget("l2", steps=4, loss="cross_entropy")), model, given)
    for i, clean in enumerate(given.images):
        label, image, momentum, variance = given.labels[i], clean, torch.zeros_like(clean), torch.zeros_like(clean)
        for step, reached in enumerate(trajectory, 1):
            noise = streams(given).uniform("neighbours", step, (3, *clean.shape))[i].double()
            first = loss_gradient(model, image, label)
            around = torch.stack(
                [loss_gradient(model, image + 0.05 * (2 * sample - 1), label) for sample in noise]
            ).mean(0)
            slope = (first + variance + loss_gradient(model, image + 0.01 * first.sign(), label)) / 2
            variance, momentum = around - first, momentum + slope / slope.abs().sum()
            delta = image + 0.3 * momentum / momentum.norm() - clean
            image = (clean + delta * min(1, 0.9 / float(delta.norm()))).clamp(0, 1)
            torch.testing.assert_close(reached[i], image, rtol=0, atol=1e-9)


def test_every_point_of_every_query_has_its_own_draws() -> None:
    """Smoothed losses and interactions at several points; one image alone gives the same."""
    given, model = examples(), network()
    attack = composed("", vr, ir).build(budget(), copies=2, grid=3, samples=2, cells=3)
    points = given.images[:, None] + torch.linspace(0, 0.1, 3, dtype=torch.float64).view(1, 3, 1, 1, 1)
    clean, state = model(given.images)[:, None], run_state(given)
    together = attack.evaluation.answer(Query(points), model, given, state, clean)
    again = attack.evaluation.answer(Query(points), model, given, state, clean, index=1)
    assert together.gradients.shape == points.shape
    assert together.values.shape == (4, 3)
    assert not torch.allclose(together.gradients, again.gradients), "a second query draws new numbers"
    repeated = attack.evaluation.answer(Query(points[:, :1].expand_as(points)), model, given, state, clean)
    assert not torch.allclose(repeated.gradients[:, 0], repeated.gradients[:, 1]), "two points share their draws"
    clean_image = given.take(slice(2, 3))
    single = attack.evaluation.answer(Query(points[2:3]), model, clean_image, run_state(clean_image), clean[2:3])
    torch.testing.assert_close(single.gradients[0], together.gradients[2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("parts", [(tuned,), (tuned, vr), (tuned, until_success), (ni,), (ni, vr)])
def test_queries_cost_what_is_declared(parts: tuple[object, ...]) -> None:
    given, model = examples(), network()
    attack, passes = composed("", *parts).build(budget(eps=1e-4, step_size=1e-5)), PassCounter(model)
    with passes.counting():
        run(attack, model, given)
    assert (passes.forwards / 4, passes.backwards / 4) == attack.cost.total(3)


def test_an_estimator_that_queries_more_than_it_declares_is_an_error() -> None:
    @dataclass(frozen=True)
    class Greedy(Tuned):
        def passes(self, _step: int, _members: int) -> Passes:
            return Passes(1)

    given, model = examples(), network()
    attack = GradientAttack.plain(budget()).set_once(estimator=Greedy(3, 0.05))
    with pytest.raises(ValueError, match="queried 5 objective points of each image, but declares 1 objective"):
        run(attack, model, given)


def test_two_estimators_exclude_each_other() -> None:
    def other(attack: GradientAttack) -> GradientAttack:
        return attack.set_once(estimator=Tuned(1, 0.1))

    with pytest.raises(ValueError, match="both set the estimator"):
        composed("", tuned, other)


def test_large_queries_are_split_across_images() -> None:
    """Three images of 40 points in batches of 64 inputs: the second batch begins inside the points of an image."""
    given, model = examples(3, (1, 28, 28)), network()
    attack = composed("", vr).build(budget(), copies=1)
    points = given.images[:, None].expand(-1, 40, -1, -1, -1)
    together = attack.evaluation.answer(Query(points), model, given, run_state(given), None).gradients
    for i in range(3):
        clean_image = given.take(slice(i, i + 1))
        alone = attack.evaluation.answer(
            Query(points[i : i + 1]), model, clean_image, run_state(clean_image), None
        ).gradients
        torch.testing.assert_close(together[i], alone[0], rtol=1e-9, atol=1e-12)
