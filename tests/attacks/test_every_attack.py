"""Rules for every attack of bench in either norm, in addition to those of the conformance kit."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.minimal_norm import MinimalNorm
from bench_attacks.plugin import RECIPES
from bench_core.worker.contracts import check_images
from bench_core.worker.streams import ImageStreams

from .scene import NORMS, Asleep, budget, build, cases, examples, network, network_for, run, streams

CASES = cases()
every_attack = pytest.mark.parametrize(("name", "norm"), CASES)


@every_attack
def test_another_seed_changes_what_is_random(name: str, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, attack = examples(), build(name, budget(norm))
    model = network_for(attack)
    draws: list[str] = []
    draw = ImageStreams._draw
    monkeypatch.setattr(ImageStreams, "_draw", lambda self, *key: (draws.append(key[0]), draw(self, *key))[1])
    # Inputs of the network, and results: the sign of a gradient can be the same for other draws.
    tensors: list[list[Tensor]] = [[], []]
    for seed in (0, 1):
        with model.register_forward_pre_hook(lambda _model, inputs, seed=seed: tensors[seed].append(inputs[0].clone())):
            tensors[seed] += run(attack, model, given, seed=seed)
    same = len(tensors[0]) == len(tensors[1]) and all(map(torch.equal, *tensors))
    # they draw members, surrogates, and waves of low frequency, and here there is one of each
    without_effect = name in ("svre", "gfcs", "simba")
    assert same == (not draws or without_effect)


@every_attack
def test_a_zero_gradient_gives_no_nan_and_freezes_nothing(name: str, norm: str) -> None:
    given, limits = examples(), budget(norm, steps=4)
    attack, brief = (build(name, replace(limits, steps=steps)) for steps in (4, 2))
    if not isinstance(attack, GradientAttack) or attack.preparation or "zero_gradient" in attack.deviations:
        pytest.skip("has no gradient, or needs one before the first step or another image")
    asleep = Asleep(network_for(attack), 10**6)
    run(brief, asleep, given)
    produced = run(attack, Asleep(network_for(attack), 10**6 - asleep.calls), given)
    for images in produced:
        check_images(given.images, images, limits)
    if attack.steps > 1:
        still = given.images if name != "interaction_only" else produced[0]
        assert torch.equal(produced[1], still), "the images moved without a gradient"
        assert ((produced[3] - still).flatten(1).abs().amax(1) > 0).all(), "the images stay where a gradient was zero"


def returned(attack: GradientAttack, model: nn.Module, count: int = 4) -> dict[str, Tensor]:
    given = examples(count)
    steps = attack(model, given, streams(given))
    try:
        while True:
            next(steps)
    except StopIteration as end:
        report: dict[str, Tensor] = end.value
    return report


def test_zero_gradients_are_counted_image_by_image() -> None:
    attack = build("pgd", budget(steps=5))
    assert returned(attack, Asleep(network(), 3))["zero_gradients"].tolist() == [3, 3, 3, 3]
    assert returned(attack, network())["zero_gradients"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("norm", NORMS)
def test_every_gradient_attack_has_the_same_random_start(name: str, norm: str) -> None:
    limits = budget(norm, step_size=0.0, random_start=True)
    attack = build(name, limits)
    if not isinstance(attack, GradientAttack) or attack.step_size > 0 or (name, norm) not in CASES:
        pytest.skip("takes no step of size zero")
    given = examples()
    start = run(build("pgd", limits), network(), given)[0]
    assert ((start - given.images).flatten(1).abs().amax(1) > 0).all()
    assert torch.equal(run(attack, network_for(attack), given)[0], start)


@every_attack
def test_a_longer_run_begins_as_the_shorter_one(name: str, norm: str) -> None:
    given, limits = examples(), budget(norm, eps=2.0, step_size=0.01)  # no step ends at the border of the ball
    attack = build(name, replace(limits, steps=4))
    model = network_for(attack)
    if name == "recover" or isinstance(attack, MinimalNorm):
        pytest.skip("turns back after half of its steps, or has shorter steps towards the end")
    if getattr(attack, "access", "gradients") != "gradients":
        pytest.skip("asks by a schedule of all its queries, or moves only where a query succeeds")
    if getattr(attack, "steps", 1) == 1:
        assert len(run(attack, model, given)) == 1
        return
    long, short = run(attack, model, given), run(build(name, replace(limits, steps=2)), model, given)
    assert len(long) == 4
    assert torch.equal(long[1], short[-1])
    assert not torch.equal(long[3], long[2]), "the last step was dropped"


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_summary_is_one_line_of_words(name: str) -> None:
    summary = RECIPES[name].summary
    assert summary.endswith((".", ")."))
    assert "\n" not in summary
