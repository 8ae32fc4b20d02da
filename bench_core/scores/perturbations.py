"""What a table says of the perturbations that it compares: their number of bits, and attacks of unequal length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ..reserved import RECORD
from ..suite.budget import BudgetEntry
from ..suite.model import Suite
from .pareto import AttackKey, attacks_behind, costs
from .scored import LabelledScore, Scores

EIGHT_BITS = "adversarial images of 8 bits: every value is of images rounded to levels inside the ball (quantise)"
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
        yield from unequal_lengths(suite.budgets, attacked, costs(scores, f"{RECORD}.l2"))


def unequal_lengths(
    budgets: Mapping[str, BudgetEntry], attacked: Sequence[AttackKey], lengths: Mapping[AttackKey, float]
) -> Iterator[str]:
    """Yield a note for each L-inf budget under which two attacks of one source differ by over 10% in L2.

    An L-inf ball has room for perturbations of very different length, and a longer one is seen better and fools more.

    Args:
        budgets: The suite's budgets.
        attacked: The sources, attacks and budgets that a table shows.
        lengths: The mean L2 norms of perturbations.
    """
    by_budget: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for source, attack, budget in attacked:
        length = lengths.get((source, attack, budget), 0.0)
        if length > 0 and budget in budgets and budgets[budget].norm == "linf":
            by_budget[budget][source][attack] = length
    for budget, sources in by_budget.items():
        ends = {source: (min(of, key=of.__getitem__), max(of, key=of.__getitem__)) for source, of in sources.items()}
        excess = {source: sources[source][long] / sources[source][short] - 1 for source, (short, long) in ends.items()}
        unequal = [source for source in excess if excess[source] > UNEQUAL]
        if unequal:
            worst = max(unequal, key=excess.__getitem__)
            short, long = ends[worst]
            of = sources[worst]
            others = f", the largest difference of {len(unequal)} sources" if len(unequal) > 1 else ""
            yield (
                f"unequal lengths under {budget}: on {worst}{others}, the perturbations of {long} are "
                f"{100 * excess[worst]:.0f}% longer in L2 than those of {short} ({of[long]:.3g} and {of[short]:.3g})"
            )
