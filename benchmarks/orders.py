"""The cost of a mean interaction of each order: `python -m benchmarks.orders`.

Compares the sampling design of bench with the paper's (200 pairs with 100 contexts each), on embedded networks, for
pairs of adjacent cells:

1. The ratio of forward passes at equal standard error, for each order. The standard error of bench is the spread over
   many runs on a few images, not its own estimate. The paper's design takes 80,000 forward passes per image and order,
   so its spread is computed from the variance between pairs and between contexts (`--direct` runs it instead).
2. The forward passes per second of the metric, as a share of those of plain batches through the same network.
3. The rise of peak memory with the number of contexts.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

import numpy as np
import torch
from tabulate import tabulate

from bench_core.batches import at_once
from bench_core.data_mean import data_mean
from bench_core.registry import discover
from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.games import CellGame
from bench_metrics.coalitions.image_games import baseline, image_game
from bench_metrics.coalitions.mean_interaction import PAIRS_PER_STRATUM, Effort, mean_interaction
from bench_metrics.coalitions.orders import context_sizes
from bench_metrics.coalitions.pairs import neighbours
from bench_metrics.coalitions.teams import team_effects

GRID = 14
ORDERS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
THEIRS = (200, 100)  # pairs without replacement, contexts each
DRAWS = 2 * (len(neighbours(GRID)) // PAIRS_PER_STRATUM)  # two for each of the finest strata


def situation(network: str, images: int) -> tuple[CellGame, tuple[str, ...], torch.nn.Module]:
    """Return the games of a few images on an embedded network, the images' ids, and the network."""
    registry = discover()
    model = registry.find("models", "embedded", "benchmark", "models").build(name=network)
    data = registry.find("datasets", "embedded", "benchmark", "data").build()
    shown = torch.from_numpy(data.load(range(images)))
    absent = baseline("channel_mean", shown, torch.from_numpy(data_mean(data)))
    labels = torch.tensor(list(data.labels[:images]))
    model = model.eval().requires_grad_(False)
    return image_game(model, shown, absent, GRID, "log_prob", labels), tuple(data.ids[:images]), model


def variance_of_theirs(game: CellGame, ids: tuple[str, ...], seed: int, tries: int) -> np.ndarray:
    """Return the variance [images, orders] of the paper's mean: 200 pairs without replacement, 100 contexts each.

    `S_b^2 (1 - 200 / P) / 200 + S_w^2 / 20,000`, with S_b^2 the variance between pairs and S_w^2 that between contexts
    of one pair. Both are estimated from `tries` contexts on every pair; S_b^2 is corrected for the noise of these few.
    """
    pairs = neighbours(GRID)
    found = team_effects([game], context_sizes(ORDERS, GRID**2 - 2), pairs[None], tries, ImageStreams(seed, ids))
    within = found.covariance[..., 0, 0].mean(2)  # of a mean of `tries` contexts
    between = (found.mean[..., 0].var(2) - within).clamp(min=0)
    chosen, contexts = THEIRS
    return (between * (1 - chosen / len(pairs)) / chosen + within * tries / (chosen * contexts)).numpy()


def variance_of_ours(game: CellGame, ids: tuple[str, ...], seed: int, draws: int, runs: int) -> np.ndarray:
    """Return the variance [images, orders] per draw, from the spread of `runs` runs of `draws` draws."""
    orders, pairs = context_sizes(ORDERS, GRID**2 - 2), neighbours(GRID)
    means = [
        mean_interaction([game], orders, Effort(draws), ImageStreams(seed + 1 + run, ids), pairs).mean[..., 0].numpy()
        for run in range(runs)
    ]
    return np.var(means, axis=0, ddof=1) * draws


def variance_of_theirs_directly(game: CellGame, ids: tuple[str, ...], seed: int, runs: int) -> np.ndarray:
    """Return the variance [images, orders] of the paper's design, from the spread of `runs` runs."""
    orders, pairs = context_sizes(ORDERS, GRID**2 - 2), neighbours(GRID)
    means = []
    for run in range(runs):
        streams = ImageStreams(seed + 10_000 + run, ids)
        chosen = pairs[streams.uniform("pairs", 0, (len(pairs),)).argsort(-1)[:, : THEIRS[0]]]
        means.append(team_effects([game], orders, chosen, THEIRS[1], streams).mean[..., 0].mean(2).numpy())
    return np.var(means, axis=0, ddof=1)


def saved(network: str, options: argparse.Namespace) -> list[list[object]]:
    """Return a row per order: how many times fewer forward passes bench needs for the paper's standard error."""
    game, ids, _ = situation(network, options.images)
    if options.direct:
        theirs = variance_of_theirs_directly(game, ids, options.seed, options.runs)
    else:
        theirs = variance_of_theirs(game, ids, options.seed, tries=options.tries)
    ours = variance_of_ours(game, ids, options.seed, draws=DRAWS, runs=options.runs)
    ratio = THEIRS[0] * THEIRS[1] * theirs.mean(0) / ours.mean(0)
    return [[network, share, f"{factor:.1f}"] for share, factor in zip(ORDERS, ratio, strict=True)] + [
        [network, "mean", f"{ratio.mean():.1f}"]
    ]


def speed(network: str, options: argparse.Namespace) -> list[object]:
    """Return the metric's forward passes per second as a share of those of plain batches (processor time, in turns)."""
    game, ids, model = situation(network, 25)
    batch = game.present[torch.arange(at_once(model, game.present)) % 25].clone()
    orders, pairs, shares = context_sizes(ORDERS, GRID**2 - 2), neighbours(GRID), []
    forwards = 25 * 4 * 32 * len(orders)
    for turn in range(options.turns):
        start = time.process_time()
        for _ in range(forwards // len(batch)):
            model(batch)
        plain = time.process_time() - start
        start = time.process_time()
        mean_interaction([game], orders, Effort(32), ImageStreams(turn, ids), pairs)
        shares.append(plain / (time.process_time() - start))
    return [network, f"{np.median(shares):.2f}", f"{min(shares):.2f} to {max(shares):.2f}"]


def growth(draws: int) -> float:
    """Return the rise in MiB of this process's peak memory from a small call to one of `draws` draws."""
    game, ids, _ = situation("ResNet-S", 4)
    orders, pairs = context_sizes((0.5,), GRID**2 - 2), neighbours(GRID)
    mean_interaction([game], orders, Effort(64), ImageStreams(0, ids), pairs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mean_interaction([game], orders, Effort(draws), ImageStreams(0, ids), pairs)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def growth_in_new_process(draws: int) -> float:
    """Return `growth` in a new process, since the peak of a process never falls."""
    command = [sys.executable, "-m", "benchmarks.orders", "--growth", str(draws)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["ResNet-S"])
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--tries", type=int, default=4, help="contexts on every pair, to estimate the variances")
    parser.add_argument("--runs", type=int, default=8, help="runs of each design, for its spread")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--direct", action="store_true", help="run the paper's design: 80,000 forward passes per run")
    parser.add_argument("--growth", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        if options.growth:
            print(growth(options.growth))
            return
        rows = [row for network in options.networks for row in saved(network, options)]
        print(tabulate(rows, ["network", "order", "times fewer forward passes"]), "\n")
        print(
            tabulate(
                [speed(network, options) for network in options.networks],
                ["network", "share of plain batches", "range"],
            ),
            "\n",
        )
    memory = [[draws, f"{growth_in_new_process(draws):.1f}"] for draws in (64, 512, 2048)]
    print(tabulate(memory, ["contexts per image and order", "rise of peak memory, MiB"]))


if __name__ == "__main__":
    main()
