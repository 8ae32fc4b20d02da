"""The rules of `--like`: an attack gives the same images as a reference, and lowers the interaction if that does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import torch

from ..errors import UsageError
from ..registry import Offer, Registry
from ..types import Norm
from . import interaction
from .attack_case import AttackCase
from .inputs import budget, describe
from .subjects import Subject
from .verdicts import Broken, Rule, Skipped

ROUNDING: Mapping[Norm, float] = {"linf": 1e-4, "l2": 1e-5}  # steps in L2 have no signs, which rounding may reverse


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
    try:
        lowers = getattr(AttackCase(reference, {}, "l2").attack(budget("l2")), "lowers_interaction", False)
    except Skipped:
        return rules
    if lowers:
        rules.append(replace(interaction.RULES["lowers_interaction"], ask=_lowers_interaction))
    return rules


def _lowers_interaction(subject: Subject) -> None:
    if not isinstance(subject, AttackCase):
        raise Skipped("it is not an attack")
    interaction.lower_than_plain_ascent(subject)


def compare(mine: AttackCase, reference: Offer) -> None:
    """Compare every step of two attacks, with the same options, seed and random numbers, targeted and untargeted.

    A random start may differ by design, in its distribution or its stream, so it is used only if both attacks start
    at the same points. If one of the attacks yields only its last images, only these are compared. One pixel in a
    hundred may differ, since rounding decides the sign of a gradient near zero.
    """
    accepted = {option.name for option in reference.options}
    theirs = AttackCase(reference, {key: value for key, value in mine.options.items() if key in accepted}, mine.norm)
    refused = theirs.refuses()
    if refused:
        raise Skipped(f"{reference.name}: {refused}")
    try:
        starts = (False, True) if same_start(mine, theirs) else (False,)
        for targeted, start in product((False, True), starts):
            model, batch, limits = mine.inputs(targeted=targeted, random_start=start)
            expected = theirs.run(model, batch, limits)
            found = mine.run(model, batch, limits)
            if 1 in (len(found), len(expected)):
                found, expected = found[-1:], expected[-1:]
            if len(found) != len(expected):
                raise Broken(f"{len(found)} steps, {reference.name} has {len(expected)}", describe(batch, limits))
            for step, (images, reference_images) in enumerate(zip(found, expected, strict=True), 1):
                gap = (images - reference_images).abs()
                share = (gap > ROUNDING[mine.norm]).double().mean()
                if share > 0.01 or not torch.isfinite(gap).all():
                    where = f"step {step} differs" if len(found) > 1 else "the last step differs"
                    difference = f"by up to {gap.max():.3g}, in {share:.0%} of pixels"
                    raise Broken(f"{where} from {reference.name} {difference}", describe(batch, limits))
    except UsageError as refusal:
        raise Skipped(str(refusal)) from refusal


def same_start(mine: AttackCase, theirs: AttackCase) -> bool:
    """Return whether two attacks with a random start begin at the same points, found with steps of length 0."""
    model, batch, limits = mine.inputs(random_start=True, step_size=0.0)
    try:
        return torch.allclose(mine.run(model, batch, limits)[-1], theirs.run(model, batch, limits)[-1], atol=1e-5)
    except (Broken, Skipped):
        return False
