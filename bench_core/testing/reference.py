"""An attack held against another that it claims to be."""

from __future__ import annotations

import torch

from ..errors import UsageError
from ..registry import Offer, Registry
from .scenes import told
from .subjects import Subject
from .trial import AttackTrial
from .verdicts import Broken, Rule, Unasked


def like(registry: Registry, name: str) -> Rule:
    """Make the rule that an attack gives what the attack `name` gives. Raises UsageError where there is none."""
    reference = registry.find("attacks", name, "--like", "")

    def ask(subject: Subject) -> None:
        if not isinstance(subject, AttackTrial):
            raise Unasked("it is no attack")
        compare(subject, reference)

    return Rule("like", f"Image for image and step for step it gives what {name} gives.", ask)


def compare(mine: AttackTrial, reference: Offer) -> None:
    """Hold every step of one attack against the other's, with the same options and draws, aimed and not.

    A sign may turn where a gradient is a rounding error: one pixel in a hundred may differ.
    """
    takes = {option.name for option in reference.options}
    theirs = AttackTrial(reference, {key: value for key, value in mine.options.items() if key in takes}, mine.norm)
    for targeted in (False, True):
        for start in (False, True):
            try:
                model, given, limits = mine.scene(targeted=targeted, random_start=start)
                expected = theirs.run(model, given, limits)
            except UsageError as refusal:
                raise Unasked(str(refusal)) from refusal
            found = mine.run(model, given, limits)
            if len(found) != len(expected):
                raise Broken(f"{len(found)} steps, {reference.name} has {len(expected)}", told(given, limits))
            for step, (one, other) in enumerate(zip(found, expected, strict=True), 1):
                gap = (one - other).abs()
                if (gap > 1e-4).double().mean() > 0.01 or not torch.isfinite(gap).all():
                    share = (gap > 1e-4).double().mean()
                    what = (
                        f"step {step} differs from {reference.name} by up to {gap.max():.3g}, in {share:.0%} of pixels"
                    )
                    raise Broken(what, told(given, limits))
