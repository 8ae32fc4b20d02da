"""Estimators and preparations: MIG, SVRE and FIA, and what queries can ask for."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.loss import ClassificationLoss
from bench_attacks.messages import Answer, Passes, Query
from bench_attacks.plugin import RECIPES
from bench_attacks.run_state import RunState
from bench_core.worker.instrument import PassCounter
from bench_models.ensemble import Ensemble

from ..scene import budget, build, examples, network, run, run_state
from .by_hand import One, follows, mean_unit, slope

MEMBERS = [network(seed=seed) for seed in range(3)]


def test_mig() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            path = [one.gradient(one.image * i / 5, "probability") for i in range(1, 6)]
            momentum = 0.9 * momentum + mean_unit(one.image * torch.stack(path).mean(0))
            yield momentum

    follows("mig", transcription, path=5, decay=0.9)


@pytest.mark.parametrize("combine", ["logits", "losses"])
def test_svre(combine: str) -> None:
    def whole(one: One, image: Tensor) -> Tensor:
        if combine == "losses":
            return torch.stack([one.gradient(image, model=member) for member in MEMBERS]).mean(0)
        return slope(lambda at: one.loss(sum(member(at[None]) for member in MEMBERS) / 3)[0], image)

    def transcription(one: One) -> Iterator[Tensor]:
        momentum, eps = torch.zeros_like(one.clean), one.per_pixel(one.limits.eps)
        while True:
            inner, walked, together = torch.zeros_like(one.clean), one.image, whole(one, one.image)
            for share in one.uniform("members", 5):
                member = MEMBERS[int(share * 3)]
                reduced = one.gradient(walked, model=member) - (one.gradient(one.image, model=member) - together)
                inner = 0.9 * inner + mean_unit(reduced)
                walked = one.clean + walked - one.clean + one.per_pixel(one.limits.step_size) * inner.sign()
                walked = (one.clean + (walked - one.clean).clamp(-eps, eps)).clamp(0, 1)
            momentum = 0.9 * momentum + mean_unit(inner)
            yield momentum

    follows("svre", transcription, model=Ensemble(MEMBERS, combine), inner=5, decay=0.9)


def test_members_are_counted_in_passes_of_the_ensemble() -> None:
    given, model = examples(), Ensemble(MEMBERS, "logits")
    attack, passes = build("svre", budget(), inner=4), PassCounter(*MEMBERS)
    with passes.counting():
        run(attack, model, given)
    declared = attack.cost_for(3).total(3)  # type: ignore[attr-defined]
    assert (passes.forwards / 4, passes.backwards / 4) == pytest.approx([3 * count for count in declared])


def test_fia() -> None:
    model = network(seed=4)
    below, above = model[:2], model[2:]

    def transcription(one: One) -> Iterator[Tensor]:
        total, momentum = torch.zeros(()), torch.zeros_like(one.clean)
        for mask in range(4):
            number = f"feature masks {mask}"
            kept = one.uniform(number, *one.clean.shape, step=0) < 0.6
            features = below((one.clean * kept)[None])
            total = total + slope(lambda at: one.loss(above(at), "logit")[0], features)[0]
        weights = total / total.norm()
        while True:
            momentum = 0.9 * momentum + mean_unit(slope(lambda at: (weights * below(at[None])[0]).sum(), one.image))
            yield momentum

    follows("fia", transcription, model=model, layer="1", masks=4, keep=0.6, decay=0.9)
    follows("fia", transcription, model=model, layer=0.5, masks=4, keep=0.6, decay=0.9, norms=["l2"])


@dataclass(frozen=True)
class Asking:
    """An estimator that asks one query and keeps its answer."""

    query: Query
    answers: list[Answer]
    declared: Passes

    def passes(self, _step: int, _members: int) -> Passes:
        return self.declared

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, _run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        self.answers.append((yield self.query))
        return torch.ones_like(images), None


def answered(query: Query, model: nn.Module, declared: Passes) -> Answer:
    answers: list[Answer] = []
    attack = GradientAttack.plain(budget(steps=1, loss="cross_entropy"))
    run(attack.set_once(estimator=Asking(query, answers, declared)), model, examples())
    return answers[0]


def test_a_query_weighs_the_logits_of_the_members() -> None:
    given, model = examples(), Ensemble(MEMBERS, "logits")
    weights = torch.rand(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answer = answered(Query(given.images[:, None], weights=weights), model, Passes(1))
    for i, image in enumerate(given.images):

        def weighted(at: Tensor, i: int = i) -> Tensor:
            logits = sum(weights[i, k] * member(at[None]) for k, member in enumerate(MEMBERS))
            return nn.functional.cross_entropy(logits, given.labels[i : i + 1])

        expected = slope(weighted, image)
        torch.testing.assert_close(answer.gradients[i, 0], expected, rtol=1e-9, atol=1e-11)


def test_a_query_without_a_gradient_has_the_losses_of_each_member() -> None:
    given, model = examples(), Ensemble(MEMBERS, "logits")
    points = torch.stack([given.images, given.images * 0.9], 1)
    answer = answered(Query(points, backward=False, separately=True), model, Passes(forwards=2))
    assert answer.gradients.shape == (4, 2, 0)
    assert answer.logits is not None
    for j, member in enumerate(MEMBERS):
        for k in range(2):
            logits = member(points[:, k])
            torch.testing.assert_close(answer.logits[:, k, j], logits)
            expected = nn.functional.cross_entropy(logits, given.labels, reduction="none")
            torch.testing.assert_close(answer.member_values[:, k, j], expected)


def test_a_query_may_replace_the_loss() -> None:
    given, model = examples(), network()
    answer = answered(Query(given.images[:, None], loss=ClassificationLoss("logit")), model, Passes(1))
    for i, image in enumerate(given.images):
        expected = slope(lambda at, i=i: -model(at[None])[0, given.labels[i]], image)
        torch.testing.assert_close(answer.gradients[i, 0], expected, rtol=1e-9, atol=1e-11)


def test_a_run_without_donors_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="declares no donors"):
        run_state(examples()).donors("mix", 1)
    assert RECIPES["admix"].build(budget(), pool=7).donors == 7  # type: ignore[attr-defined]
