"""Views: copies that multiply, the gradient through them or at them, the mean of losses or of logits; SIM and Admix."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.plugin import RECIPES
from bench_attacks.run_state import RunState
from bench_attacks.views import apply_views

from ..scene import budget, examples, gradient, network, run_state
from .by_hand import One, follows, slope


def test_si() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            yield slope(
                lambda at: sum(one.loss(one.model(at[None] / 2**i))[0] for i in range(3)) / 3, one.image
            )  # fmt: skip

    follows("si", transcription, scales=3)


def test_admix() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        assert one.pool is not None
        others = one.pool.images[one.pool.labels != one.given.labels]
        while True:
            ranks = (one.uniform("admix", 2) * len(others)).long()
            copies = [(other, i) for other in others[ranks] for i in range(3)]
            yield slope(
                lambda at, copies=copies: sum(
                    one.loss(one.model((at + 0.2 * other)[None] / 2**i))[0] for other, i in copies
                ),
                one.image,
            )

    follows("admix", transcription, mixed=2, admix_scales=3, pool=6)


@dataclass(frozen=True)
class Shifted:
    """Noisy, scaled copies."""

    count: int
    through: bool

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        return 0.5 * images[:, None] + 0.1 * run.rng.uniform(f"shift {self.count}", (self.count, *images.shape[1:]))


def test_views_multiply_and_each_copy_has_its_own_draws() -> None:
    given, first, second = examples(3), Shifted(2, True), Shifted(3, True)
    state = run_state(given)
    copies = apply_views([first, second], given.images, state)
    assert copies.shape == (3, 6, 1, 6, 6)
    once = 0.5 * given.images[:, None] + 0.1 * state.rng.uniform("shift 2", (2, 1, 6, 6))
    noise = copies - 0.5 * once.repeat_interleave(3, 1)
    assert len(torch.unique(noise.flatten(2)[..., 0])) == 18
    alone = apply_views([first, second], given.images[1:2], run_state(given.take(slice(1, 2))))
    assert torch.equal(alone[0], copies[1])
    for places in (slice(1, 3), torch.tensor([1, 2])):
        part = apply_views([first, second], given.images[1:], state.at_rows(places, 1, 0, places))
        assert torch.equal(part, copies[1:])


def test_at_the_copy_and_the_mean_of_logits() -> None:
    given, model = examples(3), network()
    limits = budget(loss="cross_entropy")
    for through in (True, False):
        for pooling in ("losses", "logits"):
            attack = replace(GradientAttack.plain(limits).add_views(Shifted(4, through)), pooling=pooling)
            found = gradient(attack, model, given, given.images)
            copies = apply_views([Shifted(4, through)], given.images, run_state(given)).detach()
            for i in range(3):

                def mean(points: Tensor, label: Tensor = given.labels[i], pooling: str = pooling) -> Tensor:
                    logits = model(points).mean(0, keepdim=True) if pooling == "logits" else model(points)
                    return torch.nn.functional.cross_entropy(logits, label.expand(len(logits)))

                expected = slope(mean, copies[i]).sum(0) * (0.5 if through else 1)
                torch.testing.assert_close(found[i], expected, rtol=1e-9, atol=1e-11)


def test_estimators_go_through_all_views_and_cost_their_product() -> None:
    names = ["vmi", "admix", "si"]
    recipe = RECIPES["vmi"].join
    assert recipe is not None
    attack = recipe([RECIPES[name] for name in names]).build(budget(), neighbours=4, mixed=3, admix_scales=2, scales=5)
    assert (attack.cost.forwards, attack.cost.backwards) == (5 * 30, 5 * 30)  # type: ignore[attr-defined]
