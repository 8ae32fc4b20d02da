"""The rule `lowers_interaction`: the interaction inside the perturbation is lower than that of plain ascent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..grid import cells_to_pixels
from ..logits import LOSSES, pick, strongest_other
from ..types import Budget, Examples, Norm
from .attack_case import AttackCase
from .inputs import budget, describe
from .verdicts import Broken, Rules, Skipped

RULES = Rules()
GRID = 4  # cells per side, which divides the sides of all square images of the kit
IMAGES = 64
# Wide balls and the margin, at which a right IR and one of the wrong sign are both 5 standard errors or more from zero.
BUDGETS: Mapping[Norm, Mapping[str, Any]] = {
    "linf": {"eps": 128 / 255, "step_size": 8 / 255, "steps": 20, "loss": "margin"},
    "l2": {"eps": 4.0, "step_size": 0.5, "steps": 20, "loss": "margin"},
}
SURE = 3.0  # standard errors of the mean difference: an attack without an effect passes once in 700 times


@RULES.add(declarable=True)
def lowers_interaction(case: AttackCase) -> None:
    """An attack that declares `lowers_interaction` has a lower interaction in its perturbations than plain ascent."""
    if not getattr(case.attack(budget(case.norm)), "lowers_interaction", False):
        raise Skipped("it does not declare lowers_interaction")
    lower_than_plain_ascent(case)


def lower_than_plain_ascent(case: AttackCase) -> None:
    """Compare the interaction inside an attack's perturbations with that of plain ascent, paired by image.

    Raises:
        Broken: The mean difference is not below zero by `SURE` standard errors.
        Skipped: The attack accepts no images of the kit that a grid divides, or the budget is in L1 or L0.
    """
    if case.norm not in BUDGETS:
        raise Skipped("it is measured in L-inf and L2")
    model, batch, limits = case.inputs(count=IMAGES, **BUDGETS[case.norm])
    if any(side % GRID for side in batch.images.shape[-2:]):
        raise Skipped(f"it accepts no images that a grid of {GRID} divides")
    plain = plain_ascent(model, batch, limits)
    reached = case.run(model, batch, limits)[-1]
    mine, theirs = (mean_interaction(model, batch, images) for images in (reached, plain))
    difference = mine - theirs
    mean, error = difference.mean(), difference.std() / math.sqrt(len(difference))
    if not mean < -SURE * error:
        found = f"mean interaction {mine.mean():.4g}, that of plain ascent is {theirs.mean():.4g}"
        raise Broken(f"{found}; their difference is {mean:.4g}, standard error {error:.2g}", describe(batch, limits))


def mean_interaction(model: nn.Module, batch: Examples, images: Tensor) -> Tensor:
    """Return the mean over cells of `v(all) - v(all without i) - v({i}) + v(empty)` (arXiv:2010.04055, eq. 28), [n].

    `v(S) = h_y' - h_y` in logits, of the image that is perturbed on the cells of S only; `y'` is the strongest wrong
    class at the perturbed image. All cells are evaluated, so there is no sampling error.
    """
    cells = GRID**2
    alone = torch.eye(cells, dtype=torch.bool)
    coalitions = torch.cat([torch.ones(1, cells).bool(), torch.zeros(1, cells).bool(), ~alone, alone])
    shown = cells_to_pixels(coalitions[None], GRID, images.shape[-2:])
    masked = batch.images[:, None] + (images - batch.images)[:, None] * shown
    with torch.no_grad():
        rival = strongest_other(model(images), batch.labels)
        logits = torch.stack([model(points) for points in masked.unbind(1)], 1)
    utility = (pick(logits, rival) - pick(logits, batch.labels)).double()
    complete, empty, without, only = utility.split([1, 1, cells, cells], 1)
    interaction: Tensor = complete[:, 0] - without.mean(1) - only.mean(1) + empty[:, 0]
    return interaction


def plain_ascent(model: nn.Module, batch: Examples, limits: Budget) -> Tensor:
    """Return the images of projected gradient ascent of the budget's loss, untargeted, from the clean images."""
    images, clean = batch.images, batch.images
    for _ in range(limits.steps):
        with torch.enable_grad():
            at = images.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(LOSSES[limits.loss](model(at), batch.labels).sum(), at)
        if limits.norm == "linf":
            delta = (images + limits.step_size * gradient.sign() - clean).clamp(-limits.eps, limits.eps)
        else:
            delta = images + limits.step_size * gradient / _length(gradient) - clean
            delta = delta * (limits.eps / _length(delta)).clamp(max=1)
        images = (clean + delta).clamp(0, 1)
    return images


def _length(tensor: Tensor) -> Tensor:
    length: Tensor = tensor.flatten(1).norm(dim=1).clamp(min=1e-30).view(-1, 1, 1, 1)
    return length
