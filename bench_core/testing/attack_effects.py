"""Rules for attacks: what an attack achieves, step by step, and what it costs."""

from __future__ import annotations

from itertools import product
from typing import get_args

import torch
from torch import Tensor, nn

from ..types import LossName
from ..worker.instrument import PassCounter
from .attack_case import AttackCase
from .inputs import Recording, budget, describe
from .verdicts import Broken, Rules, Skipped

RULES = Rules()


@RULES.add(declarable=True)
def first_step(case: AttackCase) -> None:
    """Images are yielded after each step: the first are not the clean images, and no step is missing."""
    case.needs_movement()
    for count in (1, 3):
        model, batch, limits = case.inputs(steps=count)
        reached = case.run(model, batch, limits)
        if torch.equal(reached[0], batch.images):
            raise Broken("the first images are the clean images", describe(batch, limits))
        if len(reached) > count:
            raise Broken(f"{len(reached)} images for {count} steps", describe(batch, limits))


@RULES.add(declarable=True)
def random_start(case: AttackCase) -> None:
    """Only a random start moves an image before the first step, and it comes from the image's own stream."""
    case.needs_movement()
    model, batch, limits = case.inputs(random_start=True, step_size=0.0)
    if not case.uses_gradient():
        raise Skipped("it computes no gradient")
    started = case.run(model, batch, limits)[0]
    still = case.run(*case.inputs(step_size=0.0))[0]
    if not torch.equal(still, batch.images):
        raise Skipped("it does not use the step size of the budget")
    if torch.equal(started, batch.images):
        raise Broken("random_start = true changes nothing", describe(batch, limits))


@RULES.add(declarable=True)
def ascent(case: AttackCase) -> None:
    """The attack increases the loss, cross-entropy and margin, on average over the images."""
    case.needs_movement()
    for loss in ("cross_entropy", "margin"):
        model, batch, limits = case.inputs(loss=loss)
        if not case.uses_gradient():
            raise Skipped("it computes no gradient")
        reached = case.run(model, batch, limits)[-1]
        before, after = (_likelihood(model, images, batch.labels) for images in (batch.images, reached))
        if not (after < before).double().mean() >= 0.5 or after.mean() >= before.mean():
            raise Broken(f"the loss fell from {-before.mean():.4g} to {-after.mean():.4g}", describe(batch, limits))


@RULES.add(declarable=True)
def two_classes(case: AttackCase) -> None:
    """The network may have two classes. The attack makes the wrong one likelier, as the runner-up and as the target."""
    ascends = not (case.all_or_nothing or case.excuses("ascent")) and case.uses_gradient()
    for aimed, loss in product((False, True), get_args(LossName)):
        try:
            model, batch, limits = case.inputs(of={"classes": 2}, targeted=aimed, loss=loss)
        except Skipped:
            if not aimed:
                raise
            return  # an attack that cannot be targeted
        reached = case.run(model, batch, limits, extra="a network of two classes")[-1]
        before, after = (_likelihood(model, images, 1 - batch.labels).mean() for images in (batch.images, reached))
        if ascends and after <= before:
            found = f"the log-likelihood of the wrong class fell from {before:.4g} to {after:.4g}"
            raise Broken(found, describe(batch, limits, extra="a network of two classes"))


@RULES.add(declarable=True)
def all_or_nothing(case: AttackCase) -> None:
    """An attack that declares `all_or_nothing` returns images that fool the network, and the others unchanged."""
    if not case.all_or_nothing:
        raise Skipped("it does not declare all_or_nothing")
    for scale in (1, 4):
        model, batch, limits = case.inputs(eps=scale * budget(case.norm).eps)
        reached = case.run(model, batch, limits)[-1]
        with torch.no_grad():
            fooled = model(reached).argmax(1) != batch.labels
        wrong = ~fooled & (reached != batch.images).flatten(1).any(1)
        if wrong.any():
            found = f"images {wrong.nonzero().flatten().tolist()} changed and do not fool the network"
            raise Broken(found, describe(batch, limits))


@RULES.add(declarable=True)
def targeted(case: AttackCase) -> None:
    """A targeted attack increases the likelihood of the target class, and more than an untargeted one does."""
    case.needs_movement()
    if not case.uses_gradient():
        raise Skipped("it computes no gradient")
    for loss in ("cross_entropy", "margin"):
        model, batch, limits = case.inputs(targeted=True, loss=loss)
        assert batch.targets is not None
        reached = case.run(model, batch, limits)[-1]
        without_target = case.run(*case.inputs(loss=loss))[-1]
        before, after, untargeted = (
            _likelihood(model, images, batch.targets) for images in (batch.images, reached, without_target)
        )
        if after.mean() <= untargeted.mean():
            raise Broken("the target classes are as likely under an untargeted attack", describe(batch, limits))
        if after.mean() <= before.mean():
            raise Broken(
                f"the log-likelihood of the targets fell from {before.mean():.4g} to {after.mean():.4g}",
                describe(batch, limits),
            )


@RULES.add(declarable=True)
def cost(case: AttackCase) -> None:
    """The declared cost equals the forward and backward passes that the host counts per image and run."""
    model, batch, limits = case.inputs(steps=5)
    attack, passes = case.attack(limits), PassCounter(model)
    taken = len(case.run(model, batch, limits, attack=attack, passes=passes))
    counted = passes.forwards / len(batch.ids), passes.backwards / len(batch.ids)
    found = f"counted {counted[0]:g} forwards and {counted[1]:g} backwards"
    if not hasattr(attack, "cost"):
        raise Skipped(f"it declares no cost, so a plan assumes one; {found}")
    declared = attack.cost.total(limits.steps)
    stopped = taken < limits.steps and all(c <= p for c, p in zip(counted, declared, strict=True))
    if counted != declared and not stopped:
        what = f"it declares {declared[0]:g} forwards and {declared[1]:g} backwards; {found}"
        raise Broken(what, describe(batch, limits))


@RULES.add(declarable=True)
def counted_passes(case: AttackCase) -> None:
    """Every image that passes through the network does so in a call of the network, which the host counts."""
    model, batch, limits = case.inputs()
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    sizes: list[int] = []
    handle = first.register_forward_pre_hook(lambda _layer, inputs: sizes.append(len(inputs[0])))
    passes = PassCounter(model)
    try:
        case.run(model, batch, limits, passes=passes)
    finally:
        handle.remove()
    if sum(sizes) > passes.forwards:
        found = f"{sum(sizes)} images passed through the first layer, {passes.forwards} of them in calls of the network"
        raise Broken(f"{found} (try model(images) in place of model.forward(images))", describe(batch, limits))


@RULES.add(declarable=True)
def batching(case: AttackCase) -> None:
    """The images of a batch go through the network together, and no input is evaluated repeatedly.

    Repetitions in the first step are not counted, since some attacks differ from others only after it.
    """
    alone, first, together = (_recorded(case, *given) for given in ((1, 3), (8, 1), (8, 3)))
    if together.calls >= 8 * alone.calls > 0:
        what = f"8 images take {together.calls} calls of the network, one image takes {alone.calls}"
        raise Broken(what, "8 images")
    later = together.inputs[len(first.inputs) :]
    repeated = len(together.inputs) - len(set(together.inputs)) - (len(first.inputs) - len(set(first.inputs)))
    if repeated >= 8 * 2:
        what = f"after the first step, {repeated} of {len(later)} inputs had been evaluated before"
        raise Broken(what, "8 images, 3 steps")


def _recorded(case: AttackCase, count: int, steps: int) -> Recording:
    """Attack `count` images and return the record of what went through the network."""
    model, batch, limits = case.inputs(count=count, steps=steps, random_start=True)
    recording = Recording(model)
    case.run(recording, batch, limits)
    return recording


def _likelihood(model: torch.nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    with torch.no_grad():
        chosen: Tensor = model(images).log_softmax(1).gather(1, classes[:, None])
    return chosen[:, 0]
