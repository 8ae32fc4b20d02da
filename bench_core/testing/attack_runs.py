"""Rules for attacks: what happens to the other images of a batch, and when a run is repeated, closed or fails."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..types import Budget, Examples
from ..worker.attack_run import AttackRun
from ..worker.guard import guarded
from ..worker.instrument import PassCounter
from .attack_case import AttackCase
from .inputs import Failing, ZeroGradient, describe, donors, streams
from .verdicts import Broken, Rules, Skipped, with_input

RULES = Rules()


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
    With `global_seed`, an image draws other numbers when it is alone; but with the same seed, at the same place and
    beside other images, its result must be the same.
    """
    model, batch, limits = case.inputs(random_start=True)
    together = _precise(case, batch, limits)
    if case.draws_globally:
        for i, beside in enumerate(_beside_others(case, model, batch, limits, together[-1].dtype)):
            difference = _difference([images[i] for images in beside], [images[i] for images in together])
            if difference:
                found = f"image {i} {difference} beside other images, with the same seed"
                raise Broken(found, describe(batch, limits), declarable=case.excuses("batch_independence"))
    for i in range(len(batch.ids)):
        alone = _precise(case, batch.take(slice(i, i + 1)), limits, together[-1].dtype)
        difference = _difference([images[0] for images in alone], [images[i] for images in together])
        if difference:
            raise Broken(f"image {i} {difference} when attacked alone", describe(batch, limits))


def _beside_others(
    case: AttackCase, model: nn.Module, batch: Examples, limits: Budget, dtype: torch.dtype
) -> Iterator[list[Tensor]]:
    """Attack each image i at its place and with its random numbers, while all other images are inverted."""
    for i in range(len(batch.ids)):
        images = 1 - batch.images
        images[i] = batch.images[i]
        with torch.no_grad():
            labels = model(images).argmax(1)
        yield _precise(case, Examples(images, labels, batch.ids, batch.targets), limits, dtype)


def _difference(found: list[Tensor], expected: list[Tensor]) -> str:
    """Describe where the steps [c, h, w] of one image differ from those expected; empty if they do not."""
    for step, (image, other) in enumerate(zip(found, expected, strict=False), 1):
        gap = (image - other).abs()
        rounding = 0.0 if image.dtype == torch.float64 else 0.02
        share = (gap > 1e-6).double().mean()
        if share > rounding:
            return f"differs by {gap.max():.3g} at step {step} ({share:.0%} of its pixels)"
    if len(found) < len(expected) and not torch.equal(found[-1], expected[-1]):
        return f"takes {len(found)} steps, not {len(expected)},"
    return ""


def _precise(case: AttackCase, batch: Examples, limits: Budget, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Run in float64, or in float32 if the attack cannot run in float64."""
    for wanted in (torch.float64, torch.float32) if dtype == torch.float64 else (torch.float32,):
        exact = Examples(batch.images.to(wanted), batch.labels, batch.ids, batch.targets)
        model = case.network(batch.images.shape[1]).to(wanted)
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
    case.needs_movement()
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
    case.run(model, batch, limits)  # what fails in a complete run is not blamed on closing
    with with_input(describe(batch, limits, extra="closed after its first step")):
        attack = case.attack(limits)
        seed = 0 if getattr(attack, "global_seed", False) else None
        with guarded(model, seed), torch.enable_grad():
            run = AttackRun(attack, model, batch, streams(batch), PassCounter(model), donors(attack, batch))
            running = run.start(batch)
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
                    mixed = donors(attack, batch)
                    for _ in AttackRun(attack, failing, batch, streams(batch), PassCounter(failing), mixed).steps():
                        pass
                except Exception as error:
                    failed = str(error)
            if not failed and failing.calls >= call:
                raise Broken("it swallowed the exception of the network")
