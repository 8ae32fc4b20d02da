"""Interaction reduction without the loss (arXiv:2010.04055, sec. 5)."""

from __future__ import annotations

from dataclasses import replace

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from .ir import SMALL, Interaction, Sets


def interaction_only(
    attack: GradientAttack,
    *,
    grid: Count = 16,
    samples: Count = 32,
    cells: Count = 32,
    sets: Sets = "independent",
) -> GradientAttack:
    """Reduce the interaction and nothing else (arXiv:2010.04055, sec. 5).

    It always starts at a random point of the ball, the same one as other attacks with `random_start`. At the clean
    image the interaction and its gradient are zero.

    Args:
        attack: The attack.
        grid: The number of cells along each side of the image, as in `ir`.
        samples: The number of random sets of cells at each step.
        cells: The number of cells in a set.
        sets: Whether the sets of a step are drawn independently or are disjoint, as far as they fit into the image.
    """
    started = replace(attack, budget=replace(attack.budget, random_start=True))
    return started.set_once(loss=None).add_term(Interaction(1.0, grid, samples, cells, sets))


RECIPE = recipe(interaction_only, small=SMALL)
