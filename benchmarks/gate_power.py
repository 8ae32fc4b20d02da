"""The error rates of the regression gate on simulated pairs of runs: `python -m benchmarks.gate_power`.

For rates and for means: at most 5% of PAIRS of equal runs may raise a false alarm in any of their SCORES. If one score
drops by the smallest drop that the gate claims to detect, the gate must detect it as often as it claims. Exits with 1
if it does not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bench_core.gate.compare import ALPHA, POWER, compare
from bench_core.gate.snapshot import GatedScore, Snapshot
from bench_core.statistics import wilson
from bench_core.suite.outputs import GateEntry

SCORE = "simulated.score"
Runs = tuple[list[Any], list[Any]]


def snapshot(name: str, values: list[Any]) -> Snapshot:
    """Return a run with one score per array of values, all over the same images."""
    ids = tuple(str(image) for image in range(len(values[0])))
    scores = tuple(GatedScore(SCORE, {"attack": str(i)}, array.astype(float), ids) for i, array in enumerate(values))
    gate = {SCORE: GateEntry(better="higher")}
    dataset = {"count": len(ids), "digest": "0" * 64}
    return Snapshot(name, "simulated", "simulated", gate, {}, {"run": name}, ids, dataset, scores)


def shares(draw: np.random.Generator, scores: int, images: int, drop: float) -> Runs:
    """Draw outcomes of which 3% change in each direction by chance. The first score also loses a share `drop`."""
    before, after = [], []
    for index in range(scores):
        lost = drop if index == 0 else 0.0
        chances = np.array([0.03 + lost, 0.03, 0.5, 0.44 - lost])
        fate = draw.choice(4, images, p=chances / chances.sum())
        before.append(np.isin(fate, (0, 2)))
        after.append(np.isin(fate, (1, 2)))
    return before, after


def means(draw: np.random.Generator, scores: int, images: int, drop: float) -> Runs:
    """Draw log-normal values with proportional noise: skewed and heavy-tailed, as utilities are."""
    before = [draw.lognormal(0, 0.5, images) for _ in range(scores)]
    after = [array * (1 + draw.normal(0, 0.3, images)) for array in before]
    after[0] = after[0] - drop
    return before, after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("pairs", 1000), ("scores", 20), ("images", 300), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    kinds: dict[str, Callable[..., Runs]] = {"shares": shares, "means": means}
    ok = True
    for kind, simulate in kinds.items():
        draw = np.random.default_rng(given.seed)
        alarms, smallest = 0, []
        for _ in range(given.pairs):
            before, after = simulate(draw, given.scores, given.images, 0.0)
            comparison = compare(snapshot("base", before), snapshot("new", after))
            alarms += bool(comparison.failures)
            smallest += [verdict.smallest for verdict in comparison.verdicts]
        drop, found = float(np.median(smallest)), 0
        for _ in range(given.pairs):
            before, after = simulate(draw, given.scores, given.images, drop)
            comparison = compare(snapshot("base", before), snapshot("new", after))
            found += any(verdict.labels["attack"] == "0" for verdict in comparison.failures)
        for what, count, claimed in (("false alarms", alarms, ALPHA), ("simulated drops detected", found, POWER)):
            low, high = wilson(count, given.pairs)
            kept = low <= claimed if what == "false alarms" else high >= claimed
            ok = ok and kept
            print(
                f"{kind}: {what}: {count} of {given.pairs} ({100 * count / given.pairs:.1f}%, 95% interval "
                f"{100 * low:.1f} to {100 * high:.1f}%); claimed {100 * claimed:.0f}%"
                + (f" at a drop of {drop:.4f}" if what != "false alarms" else "")
                + ("" if kept else "  FAILED")
            )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
