"""The peak speed of the machine in matrix products and convolutions: `python -m benchmarks.peak`.

Floating-point operations per second in float32, wall-clock time, with one thread and with all.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from tabulate import tabulate
from torch.nn.functional import conv2d

from bench_core.executors.hardware import cpu_count
from benchmarks.side_by_side import in_turns, report, setting

TURNS = 8


def operations() -> dict[str, float]:
    """Return the floating-point operations per second (wall-clock time) at the fastest of several sizes."""
    best = {"matrix product": 0.0, "3 x 3 convolution": 0.0}
    with torch.no_grad():
        for side in (512, 1024, 2048):
            a, b = torch.rand(side, side), torch.rand(side, side)
            seconds = in_turns({"": lambda a=a, b=b: a @ b}, TURNS, time.perf_counter)[""]
            best["matrix product"] = max(best["matrix product"], 2 * side**3 / min(seconds))
        for count, channels, side in ((64, 64, 28), (32, 64, 56), (64, 128, 28)):
            images = torch.rand(count, channels, side, side).contiguous(memory_format=torch.channels_last)
            weight = torch.rand(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last)
            convolve = {"": lambda images=images, weight=weight: conv2d(images, weight, padding=1)}
            seconds = in_turns(convolve, TURNS, time.perf_counter)[""]
            work = 2 * images.numel() * channels * 9
            best["3 x 3 convolution"] = max(best["3 x 3 convolution"], work / min(seconds))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    rows = []
    for threads in dict.fromkeys((1, cpu_count())):
        torch.set_num_threads(threads)
        rows.append([threads, *(f"{speed / 1e9:.0f}" for speed in operations().values())])
    head = ["threads", "matrix product, GFLOP/s", "3 x 3 convolution, channels last, GFLOP/s"]
    report("float32, the fastest of several sizes", tabulate(rows, head, disable_numparse=True), setting(TURNS))


if __name__ == "__main__":
    main()
