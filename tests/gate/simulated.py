"""Simulated snapshots: a base and a new run whose true drop is known."""

import numpy as np
from numpy.typing import NDArray

from bench_core.gate.snapshot import GatedScore, Snapshot
from bench_core.suite.outputs import GateEntry

DATASET = {"count": 1000, "digest": "d" * 64}
GATE = {"transfer.success": GateEntry(better="higher"), "utility.utility": GateEntry(better="higher")}


def snapshot(values: dict[str, NDArray], name: str = "base", metric: str = "transfer.success", **changes) -> Snapshot:
    """Return a snapshot with one score for each attack, over the same images."""
    count = len(next(iter(values.values())))
    ids = tuple(f"{i:064x}"[::-1] for i in range(count))
    scores = tuple(
        GatedScore(metric, {"attack": attack, "target": "T"}, np.asarray(v, dtype=float), ids)
        for attack, v in values.items()
    )
    given = {"fingerprint": {"environment.torch": name}, "threat": {"budgets": {"linf": {"eps": 0.1}}}}
    return Snapshot(
        **{
            **{
                "name": name, "suite": "toy", "profile": "toy", "gate": GATE, "ids": ids, "dataset": DATASET,
                "scores": scores, **given,
            },
            **changes,
        }
    )  # fmt: skip


def shares(draw: np.random.Generator, cells: int, n: int, drop: float = 0.0, churn: float = 0.03):
    """Return the outcomes of two runs, by attack. Outcomes change by chance, and those of the first attack also fall.

    Args:
        draw: The random generator.
        cells: The number of attacks.
        n: The number of images.
        drop: By how much the first attack's true success falls.
        churn: The probability of a change in each direction.
    """
    before, after = {}, {}
    for cell in range(cells):
        lost = drop if cell == 0 else 0.0
        fate = draw.choice(4, n, p=[churn + lost, churn, (1 - 2 * churn - lost) / 2, (1 - 2 * churn - lost) / 2])
        before[f"A{cell}"] = np.isin(fate, (0, 2))
        after[f"A{cell}"] = np.isin(fate, (1, 2))
    return before, after


def means(draw: np.random.Generator, cells: int, n: int, drop: float = 0.0):
    """As `shares`, but with log-normal values instead of outcomes of 0 and 1."""
    before, after = {}, {}
    for cell in range(cells):
        before[f"A{cell}"] = draw.lognormal(0, 1, n)
        after[f"A{cell}"] = before[f"A{cell}"] + draw.normal(0, 0.5, n) * before[f"A{cell}"]
        after[f"A{cell}"] -= drop if cell == 0 else 0.0
    return before, after
