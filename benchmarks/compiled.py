"""Whether `torch.compile` pays off on networks that bench has already optimised: `python -m benchmarks.compiled`.

Times the gradient of 63 inputs (interaction reduction on seven images) with and without compilation, in turns, and the
compilation itself, which every worker would repeat for each network and batch size. Processor time, one thread. Needs a
C++ compiler.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # so that compilation is measured, not the reading of a cache

import torch
from tabulate import tabulate

from bench_core.lean import lean
from benchmarks.attack_speed import network_of
from benchmarks.batch_sizes import gradient
from benchmarks.side_by_side import in_turns, quartiles, report, setting

BATCH = 63


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, rows = torch.rand(BATCH, 1, 28, 28), []
    for name in ("VGG", "ResNet-S", "ResNet-L"):
        network = lean(network_of(name))
        compiled = torch.compile(network)
        start = time.perf_counter()
        gradient(compiled, images, BATCH)
        first = time.perf_counter() - start
        ways = {
            "not compiled": partial(gradient, network, images, BATCH),
            "compiled": partial(gradient, compiled, images, BATCH),
        }
        seconds = in_turns(ways, turns)
        plain, faster = (statistics.median(times) for times in seconds.values())
        low, middle, high = quartiles([before / after for before, after in zip(*seconds.values(), strict=True)])
        saved = (plain - faster) / BATCH
        break_even = f"{first / saved:,.0f}" if saved > 0 else "never"
        times = [f"{1e6 * median / BATCH:.0f}" for median in (plain, faster)]
        rows.append([name, *times, f"{middle:.2f} [{low:.2f}, {high:.2f}]", f"{first:.1f}", break_even])
    head = ["network", "us per input", "compiled", "times as fast", "s to compile", "pays off after, inputs"]
    report("The gradient, compiled", tabulate(rows, head, disable_numparse=True), setting(turns) + "; one thread")


if __name__ == "__main__":
    main()
