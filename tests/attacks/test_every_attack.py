"""What must hold for every attack of the registry, in either norm."""

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.descent import Descent
from bench_attacks.recipes import RECIPES
from bench_core.contracts import check_images, guarded
from bench_core.work import Passes

from .scene import Asleep, budget, build, cases, examples, network, run, streams

CASES = cases()
every_attack = pytest.mark.parametrize(("name", "norm"), CASES)


@every_attack
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 6, 9)])
def test_every_step_keeps_the_contract(name: str, norm: str, random_start: bool, shape: tuple[int, int, int]) -> None:
    given, limits = examples(3, shape), budget(norm, random_start=random_start)
    model = network(shape[0])
    with guarded(model):
        produced = run(build(name, limits, shape), model, given)
    for images in produced:
        check_images(given.images, images, limits)
    assert all((images - given.images).abs().amax() > 0 for images in produced), "the first image is the clean one"


@every_attack
def test_an_image_is_attacked_as_if_it_were_alone(name: str, norm: str) -> None:
    given, model = examples(5), network()
    attack = build(name, budget(norm, random_start=True))
    together = run(attack, model, given)
    for i in range(5):
        alone = run(attack, model, given.take(slice(i, i + 1)))
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=0, atol=1e-9)


@every_attack
def test_the_seed_decides_all(name: str, norm: str) -> None:
    given, model, attack = examples(), network(), build(name, budget(norm))
    first, again = run(attack, model, given), run(attack, model, given)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    random = {"vr", "di", "ir", "sgm_ir", "ti_ir", "hybrid_ir", "interaction_only", "noise", "gaussian"}
    other = run(attack, model, given, seed=1)
    if norm == "l2" or name not in random:  # a sign may come out the same for other draws
        assert torch.equal(first[-1], other[-1]) == (name not in random)


@every_attack
def test_no_room_means_no_change(name: str, norm: str) -> None:
    given = examples()
    for images in run(build(name, budget(norm, eps=0.0, step_size=0.0, random_start=True)), network(), given):
        assert torch.equal(images, given.images)


@every_attack
def test_the_declared_cost_is_what_the_host_counts(name: str, norm: str) -> None:
    given, model, limits = examples(), network(), budget(norm, steps=5)
    attack, passes = build(name, limits), Passes(model)
    with passes.counting():
        run(attack, model, given)
    assert (passes.forwards / 4, passes.backwards / 4) == attack.cost.total(limits.steps)


@every_attack
def test_a_generator_left_half_way_leaves_the_network_alone(name: str, norm: str) -> None:
    given, model = examples(), network()
    with guarded(model):
        begun = build(name, budget(norm))(model, given, streams(given))
        next(begun)
        after_a_step = [len(module._forward_hooks) for module in model.modules()]
        begun.close()
    assert not any(after_a_step)


class Breaking(nn.Module):
    """Fails at its third gradient, with whatever hooks are on at that time."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        self.calls += logits.requires_grad
        if self.calls == 3:
            raise RuntimeError("on purpose")
        return logits


@every_attack
def test_a_network_that_fails_is_left_alone(name: str, norm: str) -> None:
    given, inner = examples(), network()
    attack = build(name, budget(norm))
    if attack.cost.total(3)[1] < 3:
        pytest.skip("never asks three times")
    with guarded(inner), pytest.raises((RuntimeError, ValueError), match="on purpose"):
        run(attack, Breaking(inner), given)


@every_attack
def test_a_zero_gradient_gives_no_nan_and_freezes_nothing(name: str, norm: str) -> None:
    given, limits = examples(), budget(norm, steps=4)
    attack = build(name, limits)
    if not isinstance(attack, Descent):
        pytest.skip("has no gradient")
    calls_a_step = 2 if name == "di" else 1  # the images that are resized and those that are not
    produced = run(attack, Asleep(network(), 2 * calls_a_step), given)
    for images in produced:
        check_images(given.images, images, limits)
    if attack.steps > 1:
        still = given.images if name != "interaction_only" else produced[0]
        assert torch.equal(produced[1], still), "moved without a gradient"
        assert ((produced[3] - still).flatten(1).abs().amax(1) > 0).all(), "frozen by a gradient of zero"


def returned(attack: Descent, model: nn.Module, count: int = 4) -> dict[str, Tensor]:
    given = examples(count)
    begun = attack(model, given, streams(given))
    try:
        while True:
            next(begun)
    except StopIteration as end:
        report: dict[str, Tensor] = end.value
    return report


def test_zero_gradients_are_counted_image_by_image() -> None:
    attack = build("pgd", budget(steps=5))
    assert returned(attack, Asleep(network(), 3))["zero_gradients"].tolist() == [3, 3, 3, 3]
    assert returned(attack, network())["zero_gradients"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_descent_has_the_same_random_start(name: str, norm: str) -> None:
    limits = budget(norm, step_size=0.0, random_start=True)
    attack = build(name, limits)
    if not isinstance(attack, Descent) or attack.step_size > 0 or (name, norm) not in CASES:
        pytest.skip("takes no step of size zero")
    given = examples()
    start = run(build("pgd", limits), network(), given)[0]
    assert ((start - given.images).flatten(1).abs().amax(1) > 0).all()
    assert torch.equal(run(attack, network(), given)[0], start)


@every_attack
def test_a_longer_run_begins_as_the_shorter_one(name: str, norm: str) -> None:
    given, model = examples(), network()
    attack = build(name, budget(norm, steps=4))
    if name == "recover":
        pytest.skip("turns back after half of its steps")
    if getattr(attack, "steps", 1) == 1:
        assert len(run(attack, model, given)) == 1
        return
    long, short = run(attack, model, given), run(build(name, budget(norm, steps=2)), model, given)
    assert len(long) == 4
    assert torch.equal(long[1], short[-1])
    assert not torch.equal(long[3], long[2]), "the last step was thrown away"


@every_attack
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_a_targeted_attack_aims(name: str, norm: str, loss: str) -> None:
    given, model = examples(8, targeted=True), network()
    attack = build(name, budget(norm, targeted=True, loss=loss))
    if not isinstance(attack, Descent):
        pytest.skip("asks no network")
    assert given.targets is not None
    reached = run(attack, model, given)[-1]
    if name == "interaction_only":
        free = run(attack, model, examples(8))[-1]
        assert not torch.equal(reached, free)
        return
    before = model(given.images).log_softmax(1).gather(1, given.targets[:, None])
    after = model(reached).log_softmax(1).gather(1, given.targets[:, None])
    assert (after - before).mean() > 0


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_summary_is_one_line_of_words(name: str) -> None:
    summary = RECIPES[name].summary
    assert summary.endswith((".", ")."))
    assert "\n" not in summary
