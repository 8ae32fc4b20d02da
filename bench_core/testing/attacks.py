"""The rules for attacks. Each runs the attack in one situation, under the contract checks of a worker."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..types import Budget, Examples
from ..worker.attack_run import AttackRun
from ..worker.guard import guarded
from ..worker.instrument import PassCounter
from .attack_case import AttackCase
from .inputs import Failing, Recording, ZeroGradient, describe, network, streams
from .verdicts import Broken, Rules, Skipped, with_input

RULES = Rules()


@RULES.add()
def contract(case: AttackCase) -> None:
    """Every step stays in the ball and in [0, 1], keeps shape, dtype and order, and leaves model and process unchanged.

    With and without a random start. The network, its mode, hooks and gradients, torch's flags and the global random
    states must be the same after the run as before, and the input images must not change in place.
    """
    for start, count in ((False, 3), (True, 6)):  # six steps reach the border of the ball
        model, batch, limits = case.inputs(random_start=start, steps=count)
        case.run(model, batch, limits)


@RULES.add()
def border_images(case: AttackCase) -> None:
    """Black, white and black-and-white images stay in [0, 1] and are perturbed like others."""
    model, batch, limits = case.inputs(random_start=True)
    batch.images[2] = batch.images[2].round()
    batch.images[3] = 1 - batch.images[2]
    case.run(model, batch, limits, extra="black, white, and black-and-white images")


@RULES.add()
def no_room(case: AttackCase) -> None:
    """With eps 0 the images do not change."""
    model, batch, limits = case.inputs(eps=0.0, step_size=0.0, random_start=True)
    reached = case.run(model, batch, limits)[-1]
    if not torch.equal(reached, batch.images):
        raise Broken("the images changed", describe(batch, limits))


@RULES.add(declarable=True)
def one_image(case: AttackCase) -> None:
    """A batch may have a single image."""
    case.run(*case.inputs(count=1))


@RULES.add(declarable=True)
def odd_sides(case: AttackCase) -> None:
    """Images may be rectangular and have odd sides."""
    case.run(*case.inputs(odd=True))


@RULES.add(declarable=True)
def one_channel(case: AttackCase) -> None:
    """Images may have one channel."""
    case.run(*case.inputs(channels=1))


@RULES.add(declarable=True)
def three_channels(case: AttackCase) -> None:
    """Images may have three channels."""
    case.run(*case.inputs(channels=3))


@RULES.add(declarable=True)
def inplace_network(case: AttackCase) -> None:
    """The network may overwrite its features in place and use a module twice."""
    case.run(*case.inputs(of={"inplace": True}), extra="a network with in-place ReLUs, each used twice")


@RULES.add(declarable=True)
def channels_last(case: AttackCase) -> None:
    """The network may use the channels-last memory format, in which its features are not contiguous."""
    case.run(*case.inputs(channels=3, of={"channels_last": True}), extra="a network in the channels-last format")


@RULES.add(declarable=True)
def module_names(case: AttackCase) -> None:
    """The names of the network's modules do not change the result."""
    model, batch, limits = case.inputs()
    expected = case.run(model, batch, limits)[-1]
    found = case.run(network(batch.images.shape[1], shift=3), batch, limits, extra="modules with other names")[-1]
    if not torch.equal(expected, found):
        raise Broken("the result changed with the names of the modules", describe(batch, limits))


@RULES.add()
def determinism(case: AttackCase) -> None:
    """The same seed gives the same bits, also after other runs of the same attack object."""
    model, batch, limits = case.inputs()
    attack = case.attack(limits)
    first = case.run(model, batch, limits, attack=attack)
    other = Examples(batch.images.flip(-1), batch.labels, batch.ids[::-1], batch.targets)
    case.run(model, other, limits, seed=1, attack=attack)
    again = case.run(model, batch, limits, attack=attack, extra="after a run on other images")
    if len(first) != len(again) or not all(torch.equal(a, b) for a, b in zip(first, again, strict=True)):
        fresh = case.run(model, batch, limits)
        same = len(first) == len(fresh) and all(torch.equal(a, b) for a, b in zip(first, fresh, strict=True))
        cause = "it keeps a state between runs" if same else "the seed does not decide its random numbers"
        raise Broken(f"a second run gave other images: {cause}", describe(batch, limits))


@RULES.add(declarable=True)
def batch_independence(case: AttackCase) -> None:
    """The result of an image does not depend on the other images of the batch.

    Every step of a batch of four is compared with the same step of each image alone, in float64 to exclude rounding.
    """
    _, batch, limits = case.inputs(random_start=True)
    together = _precise(case, batch, limits)
    for i in range(len(batch.ids)):
        alone = _precise(case, batch.take(slice(i, i + 1)), limits, together[-1].dtype)
        for step, (single, batched) in enumerate(zip(alone, together, strict=False), 1):
            gap = (single[0] - batched[i]).abs()
            rounding = 0.0 if single.dtype == torch.float64 else 0.02
            if (gap > 1e-6).double().mean() > rounding:
                raise Broken(
                    f"image {i} differs by {gap.max():.3g} at step {step} when attacked alone "
                    f"({(gap > 1e-6).double().mean():.0%} of its pixels)",
                    describe(batch, limits),
                )
        if len(alone) < len(together) and not torch.equal(alone[-1][0], together[-1][i]):
            raise Broken(
                f"image {i} takes {len(alone)} steps alone and {len(together)} in a batch", describe(batch, limits)
            )


def _precise(case: AttackCase, batch: Examples, limits: Budget, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Run in float64, or in float32 if the attack cannot run in float64."""
    for wanted in (torch.float64, torch.float32) if dtype == torch.float64 else (torch.float32,):
        exact = Examples(batch.images.to(wanted), batch.labels, batch.ids, batch.targets)
        model = network(batch.images.shape[1]).to(wanted)
        try:
            return case.run(model, exact, limits)
        except Broken:
            if wanted == torch.float32:
                raise
    raise AssertionError


@RULES.add(declarable=True)
def zero_gradient(case: AttackCase) -> None:
    """Steps with a zero gradient give no NaN, and later steps move every image again.

    The gradient is exactly zero in the first third of the network's calls. Every image must then end elsewhere than
    with a gradient that is always zero. Calls are counted, not steps, because an attack may yield once, at its end.
    """
    model, batch, limits = case.inputs(steps=6)
    usual, always = ZeroGradient(model, 0), ZeroGradient(model, math.inf)
    case.run(usual, batch, limits)
    still = case.run(always, batch, limits, extra="a gradient of zero in all calls")[-1]
    calls = max(usual.calls, always.calls)
    if calls < 3:
        raise Skipped("it computes fewer than three gradients")
    extra = f"a gradient of zero in the first {calls // 3} of {calls} calls"
    woken = case.run(ZeroGradient(model, calls // 3), batch, limits, extra=extra)[-1]
    frozen = (woken == still).flatten(1).all(1)
    if frozen.any():
        raise Broken(
            f"frozen after a zero gradient: images {frozen.nonzero().flatten().tolist()}",
            describe(batch, limits, extra=extra),
        )


@RULES.add()
def early_close(case: AttackCase) -> None:
    """When the generator is closed early, the network is unchanged and has no hooks left."""
    model, batch, limits = case.inputs()
    with with_input(describe(batch, limits, extra="closed after its first step")):
        attack = case.attack(limits)
        seed = 0 if getattr(attack, "global_seed", False) else None
        with guarded(model, seed), torch.enable_grad():
            running = attack(model, batch, streams(batch))
            next(running)
        with guarded(model, seed):
            running.close()  # type: ignore[attr-defined]


@RULES.add()
def failing_network(case: AttackCase) -> None:
    """When the network raises, the exception propagates and the network is unchanged."""
    for call in (1, 2, 3):
        model, batch, limits = case.inputs()
        failing = Failing(model, call)
        attack = case.attack(limits)
        seed = 0 if getattr(attack, "global_seed", False) else None
        failed = ""
        with with_input(describe(batch, limits, extra=f"a network that fails at call {call}")):
            with guarded(model, seed):
                try:
                    for _ in AttackRun(attack, failing, batch, streams(batch), PassCounter(failing)).steps():
                        pass
                except Exception as error:
                    failed = str(error)
            if not failed and failing.calls >= call:
                raise Broken("it swallowed the exception of the network")


@RULES.add(declarable=True)
def first_step(case: AttackCase) -> None:
    """Images are yielded after each step: the first are not the clean images, and no step is missing."""
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
    for loss in ("cross_entropy", "margin"):
        model, batch, limits = case.inputs(loss=loss)
        if not case.uses_gradient():
            raise Skipped("it computes no gradient")
        reached = case.run(model, batch, limits)[-1]
        before, after = (_likelihood(model, images, batch.labels) for images in (batch.images, reached))
        if not (after < before).double().mean() >= 0.5 or after.mean() >= before.mean():
            raise Broken(f"the loss fell from {-before.mean():.4g} to {-after.mean():.4g}", describe(batch, limits))


@RULES.add(declarable=True)
def targeted(case: AttackCase) -> None:
    """A targeted attack increases the likelihood of the target class, and more than an untargeted one does."""
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
def batching(case: AttackCase) -> None:
    """The images of a batch go through the network together, and no input is evaluated repeatedly."""
    calls = {}
    for count in (1, 8):
        model, batch, limits = case.inputs(count=count, random_start=True)
        recording = Recording(model)
        case.run(recording, batch, limits)
        calls[count] = recording.calls
        repeated = len(recording.inputs) - len(set(recording.inputs))
        if count == 1 and repeated >= limits.steps:
            what = f"{repeated} of {len(recording.inputs)} inputs had been evaluated before"
            raise Broken(what, describe(batch, limits))
    if calls[8] >= 8 * calls[1] > 0:
        what = f"8 images take {calls[8]} calls of the network, one image takes {calls[1]}"
        raise Broken(what, describe(batch, limits))


def _likelihood(model: torch.nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    with torch.no_grad():
        chosen: Tensor = model(images).log_softmax(1).gather(1, classes[:, None])
    return chosen[:, 0]
