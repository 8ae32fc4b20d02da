"""The rule `like`: an attack gives the same images as a reference attack."""

from __future__ import annotations

import torch

from ..errors import UsageError
from ..registry import Offer, Registry
from .attack_case import AttackCase
from .inputs import describe
from .subjects import Subject
from .verdicts import Broken, Rule, Skipped


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


def compare(mine: AttackCase, reference: Offer) -> None:
    """Compare every step of two attacks, with the same options and random numbers, targeted and untargeted.

    One pixel in a hundred may differ, since rounding decides the sign of a gradient near zero.
    """
    accepted = {option.name for option in reference.options}
    theirs = AttackCase(reference, {key: value for key, value in mine.options.items() if key in accepted}, mine.norm)
    for targeted in (False, True):
        for start in (False, True):
            try:
                model, batch, limits = mine.inputs(targeted=targeted, random_start=start)
                expected = theirs.run(model, batch, limits)
            except UsageError as refusal:
                raise Skipped(str(refusal)) from refusal
            found = mine.run(model, batch, limits)
            if len(found) != len(expected):
                raise Broken(f"{len(found)} steps, {reference.name} has {len(expected)}", describe(batch, limits))
            for step, (images, reference_images) in enumerate(zip(found, expected, strict=True), 1):
                gap = (images - reference_images).abs()
                share = (gap > 1e-4).double().mean()
                if share > 0.01 or not torch.isfinite(gap).all():
                    message = (
                        f"step {step} differs from {reference.name} by up to {gap.max():.3g}, in {share:.0%} of pixels"
                    )
                    raise Broken(message, describe(batch, limits))
