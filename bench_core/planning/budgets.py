"""The budget that each attack gets: that of the suite, with fewer and longer steps if `passes` limits it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from ..suite.model import Suite
from ..types import Budget


class NoStep(ValueError):
    """The first step of an attack takes more passes than the budget has.

    Attributes:
        passes: The passes of the budget.
        first: The passes of an attack of a single step.
    """

    def __init__(self, passes: int, first: float) -> None:
        super().__init__(f"a single step takes {first:g} passes of {passes}")
        self.passes, self.first = passes, first


def budget_for(suite: Suite, label: str, passes_of: Callable[[Budget], float]) -> Budget:
    """Return the budget of an attack on a source.

    Args:
        suite: The suite.
        label: The label of the budget.
        passes_of: Returns the forwards and backwards of the attack for one image, given a budget.

    Raises:
        NoStep: The budget limits the passes, and a single step takes more.
    """
    whole, passes = whole_budget(suite, label), suite.budgets[label].passes
    if passes is None:
        return whole

    def of_steps(steps: int) -> Budget:
        """Return the budget of fewer steps, which together are as long: an attack can still go as far."""
        return whole if steps == whole.steps else replace(whole, steps=steps, step_size=_length(whole) / steps)

    counts = range(1, whole.steps + 1)
    steps = bisect_right(counts, float(passes), key=lambda count: passes_of(of_steps(count)))
    if not steps:
        raise NoStep(passes, passes_of(of_steps(1)))
    return of_steps(steps)


def whole_budget(suite: Suite, label: str) -> Budget:
    """Return a budget with all of its steps, whatever passes they take."""
    entry = suite.budgets[label]
    return Budget(
        entry.norm, entry.eps, entry.step_size, entry.steps, suite.random_start, suite.loss, suite.targeted,
        entry.access, entry.queries,
    )  # fmt: skip


def _length(budget: Budget) -> float:
    return budget.steps * budget.step_size
