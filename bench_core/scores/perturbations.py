"""What a table says of the perturbations that it compares: their number of bits, and attacks of unequal length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from ..reserved import RECORD
from ..suite.budget import BudgetEntry
from ..suite.model import Suite
from .images import PerImage
from .pareto import AttackKey, attack_of, attacks_behind
from .scored import LabelledScore, Scores

EIGHT_BITS = "adversarial images of 8 bits: every value is of images rounded to levels inside the ball (quantise)"
FEWEST = 5  # images that both of two attacks must have changed to be compared
UNEQUAL = 0.1  # by how much perturbations of one L-inf budget may differ in L2 without a note


def perturbation_notes(suite: Suite, shown: Sequence[LabelledScore], scores: Scores) -> Iterator[str]:
    """Yield the notes on the perturbations of the attacks that a table shows.

    Args:
        suite: The suite.
        shown: The scores of the table.
        scores: All scores of the run.
    """
    attacked = attacks_behind(shown, suite.budgets)
    if attacked and suite.quantise:
        yield EIGHT_BITS
    if not all(score.metric.partition(".")[0] == RECORD for score in shown):
        yield from unequal_lengths(suite.budgets, attacked, lengths_of(scores))


def lengths_of(scores: Scores) -> dict[AttackKey, PerImage]:
    """Return the L2 norm of each image's perturbation, for each source, attack and budget."""
    known = [score for score in scores.select(f"{RECORD}.l2").valid() if score.score.per_image is not None]
    return {attack_of(score): score.per_image for score in known if score.images is not None}


def unequal_lengths(
    budgets: Mapping[str, BudgetEntry], attacked: Sequence[AttackKey], lengths: Mapping[AttackKey, PerImage]
) -> Iterator[str]:
    """Yield a note for each L-inf budget under which two attacks of one source differ by over 10% in L2.

    An L-inf ball has room for perturbations of very different length, and a longer one is seen better and fools more.
    Some attacks return the clean image where they do not fool the network: two attacks are compared on the images that
    both changed, and not where these are fewer than 5 of more images.

    Args:
        budgets: The suite's budgets.
        attacked: The sources, attacks and budgets that a table shows.
        lengths: The L2 norm of each image's perturbation.
    """
    by_budget: dict[str, dict[str, dict[str, PerImage]]] = defaultdict(lambda: defaultdict(dict))
    for key in attacked:
        source, attack, budget = key
        if key in lengths and budget in budgets and budgets[budget].norm == "linf":
            by_budget[budget][source][attack] = lengths[key]
    for budget, sources in by_budget.items():
        unequal = [(source, found) for source, of in sources.items() if (found := _largest(of)).excess > UNEQUAL]
        if unequal:
            source, worst = max(unequal, key=lambda pair: pair[1].excess)
            others = f", the largest difference of {len(unequal)} sources" if len(unequal) > 1 else ""
            counted = f", on the {worst.both} images that both changed" if worst.both < worst.images else ""
            yield (
                f"unequal lengths under {budget}: on {source}{others}, the perturbations of {worst.long} are "
                f"{100 * worst.excess:.0f}% longer in L2 than those of {worst.short} "
                f"({worst.longer:.3g} and {worst.shorter:.3g}{counted})"
            )


class _Compared(NamedTuple):
    """Two attacks, the mean lengths of their perturbations on the `both` of `images` that both changed."""

    long: str = ""
    short: str = ""
    longer: float = 1.0
    shorter: float = 1.0
    both: int = 0
    images: int = 0

    @property
    def excess(self) -> float:
        return self.longer / self.shorter - 1


def _largest(lengths: Mapping[str, PerImage]) -> _Compared:
    """Return the two attacks on one source whose lengths differ most."""
    largest = _Compared()
    for (one, first), (other, second) in combinations(lengths.items(), 2):
        if first.images != second.images:
            continue
        both = (first.values > 0) & (second.values > 0)
        count, images = int(both.sum()), len(both)
        if count == 0 or count < min(FEWEST, images):
            continue
        means = sorted([(float(first.values[both].mean()), one), (float(second.values[both].mean()), other)])
        (shorter, short), (longer, long) = means
        largest = max(largest, _Compared(long, short, longer, shorter, count, images), key=lambda pair: pair.excess)
    return largest
