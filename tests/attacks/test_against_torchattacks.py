"""Attacks against torchattacks on the same network and images, in float64, where both follow the papers."""

from itertools import chain

import pytest
import torch
from torch import Tensor

from bench_attacks.compose import composed
from bench_attacks.parts.mi import mi
from bench_attacks.parts.ti import ti
from bench_core.types import Budget, Examples

from .scene import Asleep, budget, build, examples, network, run, streams

torchattacks = pytest.importorskip("torchattacks")

EPS, ALPHA, STEPS = 0.1, 0.03, 6
LINF = budget(loss="cross_entropy", steps=STEPS)
L2 = budget("l2", loss="cross_entropy", steps=STEPS)


def theirs(attack: object, given: Examples) -> Tensor:
    if given.targets is not None:
        attack.set_mode_targeted_by_label(quiet=True)  # type: ignore[attr-defined]
    labels = given.labels if given.targets is None else given.targets
    return attack(given.images, labels)  # type: ignore[operator]


def with_target(limits: Budget, targeted: bool) -> Budget:
    return Budget(**vars(limits) | {"targeted": targeted})


PAIRS = {
    "fgsm": ("FGSM", LINF, {"eps": EPS}, {}),
    "pgd": ("PGD", LINF, {"eps": EPS, "alpha": ALPHA, "steps": STEPS, "random_start": False}, {}),
    "pgd_l2": ("PGDL2", L2, {"eps": 0.9, "alpha": 0.3, "steps": STEPS, "random_start": False}, {}),
    "mi": ("MIFGSM", LINF, {"eps": EPS, "alpha": ALPHA, "steps": STEPS, "decay": 1.0}, {}),
    "mi_half": ("MIFGSM", LINF, {"eps": EPS, "alpha": ALPHA, "steps": STEPS, "decay": 0.5}, {"decay": 0.5}),
    "di": ("DIFGSM", LINF, {"eps": EPS, "alpha": ALPHA, "steps": STEPS, "diversity_prob": 0.0}, {"probability": 0.0}),
}


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("key", sorted(PAIRS))
def test_attacks_give_the_images_of_torchattacks(key: str, targeted: bool) -> None:
    name, limits, options, ours = PAIRS[key]
    given, model = examples(8, (3, 12, 12), targeted), network(3)
    recipe = key.split("_", maxsplit=1)[0]
    actual = run(build(recipe, with_target(limits, targeted), (3, 12, 12), **ours), model, given)[-1]
    expected = theirs(getattr(torchattacks, name)(model, **options), given)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9)
    assert (actual - given.images).abs().amax() > 0.01


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_ti_smooths_before_it_normalises_and_accumulates(decay: float) -> None:
    """torchattacks always takes three channels and resizes; without resizing and with a float64 kernel, it agrees."""
    given, model = examples(8, (3, 20, 20)), network(3)
    attack = torchattacks.TIFGSM(model, eps=EPS, alpha=ALPHA, steps=STEPS, decay=decay, diversity_prob=0.0)
    attack.stacked_kernel = attack.stacked_kernel.double()
    actual = run(composed("", mi, ti).build(LINF, decay=decay), model, given)[-1]
    torch.testing.assert_close(actual, theirs(attack, given), rtol=0, atol=1e-9)


def test_ti_works_on_one_channel_where_theirs_fails() -> None:
    given, model = examples(2, (1, 20, 20)), network(1)
    assert len(run(build("ti", LINF), model, given)) == STEPS
    with pytest.raises(RuntimeError):
        theirs(torchattacks.TIFGSM(model.float(), diversity_prob=0.0), Examples(given.images.float(), given.labels, ()))


def test_di_with_equal_draws_differs_in_the_interpolation_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authors resize by nearest neighbour; torchattacks resizes bilinearly, with one draw for the whole batch."""
    given, model = examples(3, (3, 20, 20)).take(slice(2, 3)), network(3)
    actual = run(build("di", LINF, probability=1.0, resize=0.9), model, given)[-1]
    numbers = []
    for step in range(1, STEPS + 1):
        _, scale, down, right = streams(given).uniform("diversity", step, (4,))[0].tolist()
        inner = 18 + int(scale * 2)
        numbers.append((inner, int(down * (20 - inner)), int(right * (20 - inner))))

    def with_draws(mode: str) -> Tensor:
        queue = chain.from_iterable(numbers)
        module = torchattacks.attacks.difgsm
        interpolate = torch.nn.functional.interpolate
        with monkeypatch.context() as patch:
            patch.setattr(module.torch, "randint", lambda **_: torch.tensor([next(queue)], dtype=torch.int32))
            patch.setattr(module.F, "interpolate", lambda x, size, **_: interpolate(x, size=size, mode=mode))
            attack = torchattacks.DIFGSM(model, eps=EPS, alpha=ALPHA, steps=STEPS, diversity_prob=1.0)
            return theirs(attack, given)

    torch.testing.assert_close(actual, with_draws("nearest"), rtol=0, atol=1e-9)
    assert not torch.allclose(actual, with_draws("bilinear"), atol=1e-3)


def test_theirs_freezes_for_good_after_one_zero_gradient_and_ours_does_not() -> None:
    """Zero divided by its norm is NaN, the momentum stays NaN, and its sign is zero."""
    given = examples(2)
    stuck = theirs(torchattacks.MIFGSM(Asleep(network(), 1), eps=EPS, steps=STEPS), given)
    ours = run(build("mi", LINF), Asleep(network(), 1), given)[-1]
    assert torch.equal(stuck, given.images)
    assert ((ours - given.images).flatten(1).abs().amax(1) > 0).all()
