"""The rules of `--like`: an attack gives the same images as a reference, and lowers the interaction if that does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import torch
from torch import nn

from ..errors import UsageError
from ..registry import Offer, Registry
from ..types import Budget, Examples, Json, Norm
from . import interaction
from .attack_case import AttackCase
from .inputs import budget, describe
from .subjects import Subject
from .verdicts import Broken, Rule, Skipped

# steps in L2 have no signs, which rounding may reverse; in L1 and L0 it may reverse the order of two pixels
ROUNDING: Mapping[Norm, float] = {"linf": 1e-4, "l2": 1e-5, "l1": 1e-3, "l0": 1e-3}


def like(registry: Registry, name: str) -> Rule:
    """Return the rule that an attack gives the same images as the attack `name`.

    Raises:
        UsageError: There is no attack of that name.
    """
    reference = registry.find("attacks", name, "--like", "")

    def compare_with_reference(subject: Subject) -> None:
        if not isinstance(subject, AttackCase):
            raise Skipped("it is not an attack")
        compare(subject, reference)

    return Rule("like", f"It gives the same images as {name} at every step.", compare_with_reference)


def rules_like(registry: Registry, name: str) -> list[Rule]:
    """Return `like`, and `lowers_interaction` for any attack if the attack `name` declares that it does that.

    An attack with other random draws than the reference cannot give its images, but the interaction must fall all the
    same.

    Raises:
        UsageError: There is no attack of that name.
    """
    rules = [like(registry, name)]
    reference = registry.find("attacks", name, "--like", "")
    if any(_lowers(AttackCase(reference, example_of(reference), norm)) for norm in get_args(Norm)):
        rules.append(replace(interaction.RULES["lowers_interaction"], ask=_lowers_interaction))
    return rules


def example_of(reference: Offer) -> dict[str, Any]:
    """Return the options with which a recipe is to be checked: its first example, or its defaults."""
    return dict(next(iter(reference.recipe.examples), {}))


def _lowers(case: AttackCase) -> bool:
    try:
        return bool(getattr(case.attack(budget(case.norm)), "lowers_interaction", False))
    except (Skipped, TypeError):  # an attack of the other norm, or one with required options
        return False


def _lowers_interaction(subject: Subject) -> None:
    if not isinstance(subject, AttackCase):
        raise Skipped("it is not an attack")
    interaction.lower_than_plain_ascent(subject)


def compare(mine: AttackCase, reference: Offer) -> None:
    """Compare every step of two attacks, with the same options, seed and random numbers, targeted and untargeted.

    Options that only the reference has are those of its example. The images and networks are ones that both accept. A
    random start may differ by design, in its distribution or its stream, so it is used only if both attacks start at
    the same points. If one of the attacks yields only its last images, only these are compared. One pixel in a hundred
    may differ, since rounding decides the sign of a gradient near zero.

    Raises:
        Broken: The images of a step differ.
        Skipped: There are no inputs that both accept, or the reference itself fails.
    """
    theirs = AttackCase(reference, options_for(reference, mine), mine.norm)
    refused = theirs.refuses()
    if refused:
        raise Skipped(f"{theirs.label}: {refused}")
    mine = replace(mine, beside=theirs)
    try:
        starts = (False, True) if same_start(mine, theirs) else (False,)
        for targeted, start in product((False, True), starts):
            compare_steps(mine, theirs, mine.inputs(targeted=targeted, random_start=start))
    except UsageError as refusal:
        raise Skipped(str(refusal)) from refusal


def compare_steps(mine: AttackCase, theirs: AttackCase, inputs: tuple[nn.Module, Examples, Budget]) -> None:
    """Compare every step of two attacks on some inputs. Raises Broken where the images differ."""
    model, batch, limits = inputs
    try:
        expected = theirs.run(model, batch, limits)
    except (Broken, Skipped) as failure:
        raise Skipped(f"the reference {theirs.label} does not run: {failure}") from failure
    found = mine.run(model, batch, limits)
    if 1 in (len(found), len(expected)):
        found, expected = found[-1:], expected[-1:]
    if len(found) != len(expected):
        raise Broken(f"{len(found)} steps, {theirs.label} has {len(expected)}", describe(batch, limits))
    for step, (images, reference_images) in enumerate(zip(found, expected, strict=True), 1):
        gap = (images - reference_images).abs()
        share = (gap > ROUNDING[mine.norm]).double().mean()
        if share > 0.01 or not torch.isfinite(gap).all():
            where = f"step {step} differs" if len(found) > 1 else "the last step differs"
            difference = f"by up to {gap.max():.3g}, in {share:.0%} of pixels"
            raise Broken(f"{where} from {theirs.label} {difference}", describe(batch, limits))


def options_for(reference: Offer, mine: AttackCase) -> Json:
    """Return the options of a reference: those of `mine`, with its defaults, where it has them, else an example's.

    Raises Skipped if the reference does not accept these values.
    """
    complete, _ = mine.offer.check(mine.options, "--like", mine.offer.name)
    accepted = {option.name for option in reference.options}
    shared = {name: value for name, value in complete.items() if name in accepted}
    checked, faults = reference.check({**example_of(reference), **shared}, "--like", reference.name)
    if faults:
        raise Skipped(f"{reference.name} does not accept the same options: {UsageError(*faults)}")
    return {name: checked[name] for name in (*example_of(reference), *shared)}


def same_start(mine: AttackCase, theirs: AttackCase) -> bool:
    """Return whether two attacks with a random start begin at the same points, found with steps of length 0."""
    model, batch, limits = mine.inputs(random_start=True, step_size=0.0)
    try:
        return torch.allclose(mine.run(model, batch, limits)[-1], theirs.run(model, batch, limits)[-1], atol=1e-5)
    except (Broken, Skipped):
        return False
