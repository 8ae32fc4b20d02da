"""Several networks attacked as one: by the mean of logits, of probabilities, or of losses, exactly."""

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.plugin import RECIPES
from bench_core.logits import LOSSES
from bench_core.types import Attack, LossName
from bench_core.worker.instrument import PassCounter
from bench_models.ensemble import Ensemble

from . import scene
from .scene import budget, build, examples, network, network_for, run

MEMBERS = [network(seed=seed) for seed in range(3)]
LOSS_NAMES: list[LossName] = ["cross_entropy", "margin"]
SINGLE = {name: build(name, budget("l2")) for name in RECIPES}
DRAWS_NETWORKS = ("ghost",)  # the members of an ensemble are changed by different draws than each network alone
GRADIENTS = sorted(
    name
    for name, attack in SINGLE.items()
    if isinstance(attack, GradientAttack) and not (attack.tap or attack.donors or name in DRAWS_NETWORKS)
)


def gradient(attack: Attack, model: nn.Module, targeted: bool, combine: str = "") -> Tensor:
    given = examples(targeted=targeted)
    noisy = run(build("noise", budget()), model, given)[0]
    clean = model(given.images, separately=True) if combine == "losses" else model(given.images)[:, None]
    return scene.gradient(attack, model, given, noisy, clean=clean)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("name", GRADIENTS)
def test_by_losses_the_gradient_is_the_mean_of_the_members(name: str, loss: LossName, targeted: bool) -> None:
    """For every attack: losses, smoothed losses and the utilities of interactions are all averaged over members."""
    attack = build(name, budget("l2", loss=loss, targeted=targeted))
    networks = [network_for(attack, seed=seed) for seed in range(3)]
    members = [gradient(attack, member, targeted) for member in networks]
    actual = gradient(attack, Ensemble(networks, "losses"), targeted, "losses")
    torch.testing.assert_close(actual, torch.stack(members).mean(0), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("combine", ["logits", "probabilities"])
def test_the_other_means_follow_their_formula(loss: LossName, combine: str) -> None:
    given = examples()
    images = run(build("noise", budget()), MEMBERS[0], given)[0].requires_grad_(True)
    if combine == "logits":
        logits = sum(member(images) for member in MEMBERS) / 3
    else:
        logits = (sum(member(images).softmax(1) for member in MEMBERS) / 3).log()
    (expected,) = torch.autograd.grad(LOSSES[loss](logits, given.labels).sum(), images)
    actual = gradient(build("pgd", budget(loss=loss)), Ensemble(MEMBERS, combine), False)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def test_the_three_means_are_three_attacks() -> None:
    given = examples(8)
    results = [
        run(build("pgd", budget("l2")), Ensemble(MEMBERS, c), given)[-1] for c in ("logits", "probabilities", "losses")
    ]
    assert not torch.allclose(results[0], results[1])
    assert not torch.allclose(results[0], results[2])
    assert not torch.allclose(results[1], results[2])


@pytest.mark.parametrize("combine", ["logits", "probabilities", "losses"])
def test_an_ensemble_of_one_is_that_network(combine: str) -> None:
    given = examples()
    alone = run(build("ir", budget("l2")), MEMBERS[0], given)[-1]
    torch.testing.assert_close(run(build("ir", budget("l2")), Ensemble([MEMBERS[0]], combine), given)[-1], alone)


def test_an_ensemble_by_losses_costs_what_it_declares() -> None:
    given, model = examples(), Ensemble(MEMBERS, "losses")
    attack, passes = build("hybrid_ir", budget()), PassCounter(model)
    with passes.counting():
        run(attack, model, given)
    assert (passes.forwards / 4, passes.backwards / 4) == attack.cost.total(3)


def test_the_default_output_is_logits_of_one_network() -> None:
    given = examples()
    assert Ensemble(MEMBERS, "losses")(given.images).shape == (4, 4)
