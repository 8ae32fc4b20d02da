"""Plots how many images each attack fools within a distance, and how many any attack fools (AttackBench)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..scores.derived import labels_of_attacks
from ..scores.images import Unpairable
from ..scores.labels import Labels
from ..scores.optimality import Attack, attacks_on, furthest, rows_by_network
from ..scores.rows import RowSet
from ..statistics import wilson
from ..suite.model import Suite
from ..suite.plot_entries import DistancesPlotEntry
from ..tables.arrange import in_order
from .layout import finish, panels
from .series import Key, count_text
from .style import Look, look, text

BEST = "best of all"
BEST_LOOK = Look("#767676", "", "-")
BANDS = 4  # attacks in a panel; with more, their bands would hide each other
NAMES = {"linf": "L-inf distance", "l2": "L2 distance", "l1": "L1 distance", "l0": "L0 distance (pixels)"}


def draw_distances(
    rows: Sequence[RowSet], elsewhere: Sequence[RowSet], plot: DistancesPlotEntry, suite: Suite, title: str
) -> Figure:
    """Draw the share of images that each attack fools within a distance, and the same for the best distances.

    The axis of a panel ends at the largest of the best distances, as the areas of `[optimality]` do.

    Args:
        rows: The rows of a run.
        elsewhere: The distances that other runs reached, if the entry of `[optimality]` counts them.
        plot: The suite's entry.
        suite: The suite.
        title: The title.

    Raises:
        ValueError: Two networks share a panel, or two attacks a line.
    """
    drawn = _by_panel(rows, elsewhere, plot, suite)
    names = list(in_order([_key(attack.labels, plot.lines) for attacks in drawn.values() for attack in attacks]))
    figure, axes = panels(list(drawn), plot.panels, (2.9, 2.4), share=False)
    legend: dict[str, Any] = {}
    norms = set[str]()
    for key, attacks in drawn.items():
        far = max(furthest(attack.best, attack.eps) for attack in attacks)
        best = _curve(axes[key], attacks[0].best, far, BEST_LOOK, True)
        legend.setdefault(BEST, best)
        for attack in attacks:
            name = _key(attack.labels, plot.lines)
            line = _curve(axes[key], attack.distances, far, look(names.index(name)), len(attacks) <= BANDS)
            legend.setdefault(" ".join(map(text, name)), line)
            norms.add(str(attack.labels.norm))
        axes[key].set(xlim=(0, 1.03 * far or 1), ylim=(0, 102))
    counts = [len(attack.images) for attacks in drawn.values() for attack in attacks]
    banded = "each curve" if all(len(attacks) <= BANDS for attacks in drawn.values()) else f'"{BEST}"'
    others = "; the best distances are also those of other runs" if _counts_others(elsewhere, plot) else ""
    note = f"{count_text(counts)}; bands: 95% intervals at each distance, of {banded}{others}"
    x = plot.x_label or ", ".join(sorted(NAMES.get(norm, "distance") for norm in norms))
    finish(figure, title, [note], x, "images fooled (%)", legend)
    return figure


def _by_panel(
    rows: Sequence[RowSet], elsewhere: Sequence[RowSet], plot: DistancesPlotEntry, suite: Suite
) -> dict[Key, list[Attack]]:
    """Return the attacks on the network of each panel, without networks of which distances are void or unknown."""
    entry, found = suite.optimality[plot.value], dict[Key, list[Attack]]()
    others = [row for row in elsewhere if row.metric == plot.value]
    for network, members in rows_by_network(rows, entry, suite, labels_of_attacks(suite)).items():
        if not network.matches({name: value for name, value in plot.where.items() if name in network}):
            continue
        try:
            attacks = [each for each in attacks_on(members, entry, suite, others) if each.labels.matches(plot.where)]
        except Unpairable:
            continue
        lines = [_key(attack.labels, plot.lines) for attack in attacks]
        key = _key(network, plot.panels)
        if key in found:
            raise ValueError(f"several networks share the panel {' '.join(key)} (add labels to panels or where)")
        if len(set(lines)) < len(lines):
            raise ValueError("several attacks share a line (add labels to lines or where)")
        if attacks:
            found[key] = attacks
    return {key: found[key] for key in in_order(found)}


def _counts_others(elsewhere: Sequence[RowSet], plot: DistancesPlotEntry) -> bool:
    return any(row.metric == plot.value for row in elsewhere)


def _key(labels: Labels, dimensions: Sequence[str]) -> Key:
    return tuple(str(labels.get(name, "")) for name in dimensions)


def _curve(axes: Axes, distances: NDArray[np.float64], far: float, style: Look, banded: bool) -> Any:
    """Draw the share of distances [n] that are at most x, for x from 0 to `far`; return its artist for the legend."""
    count, within = len(distances), np.sort(distances[distances <= far])
    x = np.array([0.0, *within, far])
    fooled = np.array([np.count_nonzero(within == 0), *range(1, len(within) + 1), len(within)])
    if banded:
        low, high = (100 * np.array(ends) for ends in zip(*(wilson(each, count) for each in fooled), strict=True))
        axes.fill_between(x, low, high, step="post", color=style.colour, alpha=0.12, linewidth=0)
    (artist,) = axes.step(
        x, 100 * fooled / count, where="post", color=style.colour, linestyle=style.dashes,
        linewidth=2.2 if style is BEST_LOOK else 1.2, marker=style.marker, markersize=3.5,
        markevery=max(1, len(x) // 5),
    )  # fmt: skip
    return artist
