"""The parts that a suite names in `parts = [...]`: each is a function that adds one idea to a descent.

Its keyword arguments are the options a suite may set; types, bounds and defaults are read from here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from .descent import Descent
from .filters import Momentum, TranslationKernel
from .goals import Fooled, Utility
from .stops import FullLength
from .surrogates import DiverseInput, SkipGradient
from .terms import Interaction, Size, SmoothedLoss

Count = Annotated[int, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]


def fgsm(descent: Descent) -> Descent:
    """Take one step, as far as the budget allows (Goodfellow et al., 2015)."""
    return descent.setting(only_step=descent.budget.eps)


def single_step(descent: Descent, *, clip: bool = True) -> Descent:
    """Take one step as long as all of the budget's together (arXiv:2010.04055, proposition 1).

    With `clip` the step ends at the edge of the ball. Without, it is never shortened: a budget whose ball is smaller
    than steps x step_size is a fault before the run, and a step along the plain gradient that leaves the ball is void.
    """
    return descent.setting(only_step=descent.budget.steps * descent.budget.step_size, clipped=clip)


def raw(descent: Descent) -> Descent:
    """Step along the gradient itself, not its sign or unit vector (arXiv:2010.04055, propositions 1 to 3)."""
    return descent.setting(steepest=False)


def mi(descent: Descent, *, decay: Annotated[float, Ge(0)] | Literal["average"] = 1.0) -> Descent:
    """Momentum (Dong et al., 2018); decay "average" is the form of arXiv:2010.04055, eq. 33."""
    return descent.filtering(*descent.filters, Momentum(decay))


def ti(descent: Descent, *, kernel: Count = 15) -> Descent:
    """Smooth the gradient with a Gaussian kernel, before any momentum (Dong et al., 2019)."""
    if kernel % 2 == 0:
        raise ValueError(f"kernel: found {kernel} (would do: an odd number of pixels)")
    return descent.filtering(TranslationKernel(kernel), *descent.filters)


def vr(descent: Descent, *, copies: Count = 20, sigma: Annotated[float, Ge(0)] = 15 / 255) -> Descent:
    """Average the gradient of the loss over noisy copies of the image (Wu et al., 2018)."""
    return descent.setting(loss=SmoothedLoss(descent.budget.loss, copies, sigma))


def di(descent: Descent, *, probability: Share = 0.5, resize: Annotated[float, Gt(0)] = 330 / 299) -> Descent:
    """Resize and pad the input at random, each image on its own (Xie et al., 2019)."""
    return descent.lending(*descent.surrogates, DiverseInput(probability, resize))


def sgm(descent: Descent, *, gamma: Share | None = None, projections: bool = False) -> Descent:
    """Scale the gradient through residual branches by gamma (Wu et al., 2020)."""
    # first, because its hooks need the network itself
    return descent.lending(SkipGradient(gamma, projections), *descent.surrogates)


def ir(
    descent: Descent,
    *,
    strength: Annotated[float, Ge(0)] = 1.0,
    grid: Count = 16,
    samples: Count = 32,
    cells: Count = 32,
) -> Descent:
    """Reduce the interaction inside the perturbation (Wang et al., 2021; arXiv:2010.04055, eqs. 5 and 42)."""
    if strength == 0:  # plain gradient ascent, to the bit: no needless points in its batches
        return descent
    return descent.adding(Interaction(strength, grid, samples, cells))


def interaction_only(descent: Descent, *, grid: Count = 16, samples: Count = 32, cells: Count = 32) -> Descent:
    """Reduce the interaction and nothing else (arXiv:2010.04055, sec. 5).

    It always starts at a random point of the ball, the one that `random_start` gives every attack: at the image
    itself, the interaction of no perturbation and its gradient are zero.
    """
    started = replace(descent, budget=replace(descent.budget, random_start=True))
    return started.setting(loss=None).adding(Interaction(1.0, grid, samples, cells))


def relaxed(descent: Descent, *, c: Annotated[float, Ge(0)] = 1.0, p: Annotated[float, Ge(1)] = 2.0) -> Descent:
    """Ascend loss - c * norm_p(delta)^p until the L2 norm of the perturbation is eps (arXiv:2010.04055, eq. 8, app. H).

    An image that reaches that length stays there; one that does not within the budget's steps is shorter.
    """
    return descent.setting(stop=FullLength()).adding(Size(c, p))


def until_success(descent: Descent) -> Descent:
    """Stop each image as soon as it is misclassified, or classified as aimed at (arXiv:2103.07364, sec. 4.3)."""
    return descent.setting(goal=Fooled())


def until_utility(
    descent: Descent, *, utility: Annotated[float, Gt(0)] = 8.0, tolerance: Annotated[float, Gt(0)] = 0.1
) -> Descent:
    """Bring each image to one attacking utility, halving the step that overshoots (arXiv:2103.07364, sec. 4.1).

    An image that cannot get there within the budget ends where the budget does; the score `attack.reached` tells.
    """
    return descent.setting(goal=Utility(utility, tolerance))
