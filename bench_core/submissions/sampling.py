"""Draws the jobs to recompute, and says what such a sample finds and what it could miss.

Jobs are drawn without replacement, all with the same probability. A changed outcome is in one job, so it is found with
the probability that this job is drawn. The number of changed jobs in a sample is hypergeometric, which gives an exact
bound on the number in the run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

CONFIDENCE = 0.95
Item = TypeVar("Item")


def sample_size(total: int, share: float) -> int:
    """Return how many of `total` jobs a share is: at least one."""
    return min(total, max(1, math.ceil(share * total - 1e-9)))


def draw(items: Sequence[Item], share: float, seed: int) -> list[Item]:
    """Draw a share of items without replacement. Returns them in their order."""
    places = random.Random(seed).sample(range(len(items)), sample_size(len(items), share))
    return [items[place] for place in sorted(places)]


def found_with(changed: int, drawn: int, total: int) -> Fraction:
    """Return the probability that a sample has at least one of the changed jobs: 1 - C(N - K, n) / C(N, n)."""
    return 1 - Fraction(math.comb(total - changed, drawn), math.comb(total, drawn))


def most_missed(seen: int, drawn: int, total: int, confidence: float = CONFIDENCE) -> int:
    """Return the largest number of changed jobs in a run of which a sample may show so few.

    It is the exact upper confidence bound: the largest K for which at most `seen` of K changed jobs are drawn with a
    probability of at least 1 - confidence.

    Args:
        seen: The number of changed jobs in the sample.
        drawn: The number of jobs in the sample.
        total: The number of jobs in the run.
        confidence: The probability that the bound holds.
    """
    low, high = seen, total - (drawn - seen)
    while low < high:
        middle = (low + high + 1) // 2
        if at_most(seen, middle, drawn, total) >= Fraction(1 - confidence).limit_denominator(10**9):
            low = middle
        else:
            high = middle - 1
    return low


def at_most(seen: int, changed: int, drawn: int, total: int) -> Fraction:
    """Return the probability that a sample has at most `seen` of the changed jobs."""
    first = max(0, drawn - (total - changed))
    if first > seen:
        return Fraction(0)
    ways = term = math.comb(changed, first) * math.comb(total - changed, drawn - first)
    for k in range(first, min(seen, drawn, changed)):
        term = term * (changed - k) * (drawn - k) // ((k + 1) * (total - changed - drawn + k + 1))
        ways += term
    return Fraction(ways, math.comb(total, drawn))
