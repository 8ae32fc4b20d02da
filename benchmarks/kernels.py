"""Which kernels compute the gradient of a network, and for how long, as oneDNN reports them.

`kernels` runs this module in a process of its own, because oneDNN writes to the standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bench_core.executors.onednn import Execution, executions
from bench_core.executors.settings import worker_environment
from bench_core.lean import lean
from bench_core.types import Precision
from bench_core.worker.precision import InBfloat16
from bench_models.embedded.architectures import ARCHITECTURES

REPEATS = 7  # the shortest time of each kernel counts
SPLIT, TOTAL = "next gradient", "processor seconds"
FORWARD, BACKWARD, REORDERS, OTHER, REST = (
    "forward convolutions", "backward convolutions", "reordering weights", "matrix products",
    "the rest: ReLUs, pooling, sums, casts",
)  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """The kernels of one gradient in their order, each with its shortest time, and the processor seconds of all."""

    kernels: Sequence[Execution]
    total: float

    def parts(self) -> dict[str, float]:
        """Return the seconds of each part of the gradient."""
        seconds = dict.fromkeys((FORWARD, BACKWARD, REORDERS, OTHER, REST), 0.0)
        for item in self.kernels:
            seconds[part_of(item)] += item.seconds
        return {**seconds, REST: max(0.0, self.total - sum(seconds.values()))}

    def names(self, part: str) -> str:
        """Return the kernels of a part, with the number of their calls."""
        found = Counter(item.kernel for item in self.kernels if part_of(item) == part)
        return ", ".join(f"{count} x {kernel}" for kernel, count in found.most_common())


def part_of(item: Execution) -> str:
    if item.primitive == "convolution":
        # torch computes the way back through a first convolution as another convolution, see `bench_models.lean`
        return FORWARD if item.direction.startswith("forward") else BACKWARD
    return REORDERS if item.primitive == "reorder" else OTHER


def profile(network: str, precision: Precision, batch: int) -> Profile:
    """Return the kernels of the gradient of an embedded network, as an attack computes it on one thread."""
    command = [sys.executable, "-m", "benchmarks.kernels", network, precision, str(batch)]
    printed = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout
    *gradients, last = printed.split(SPLIT)
    runs = [list(executions(text)) for text in gradients]
    shortest = [min(same, key=lambda item: item.seconds) for same in zip(*runs, strict=True)]
    return Profile(shortest, float(last.rpartition(TOTAL)[2]))


def environment() -> dict[str, str]:
    return {**os.environ, **worker_environment(1)}


def main() -> None:
    name, precision, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    network: nn.Module = lean(ARCHITECTURES[name]().eval().requires_grad_(False))
    network = InBfloat16(network) if precision == "bfloat16" else network
    images = torch.rand(batch, 1, 28, 28).requires_grad_(True)

    def gradient() -> float:
        start = time.process_time()
        torch.autograd.grad(network(images).sum(), images)
        return time.process_time() - start

    gradient()
    total = min(gradient() for _ in range(REPEATS))
    for _ in range(REPEATS):
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            gradient()
        print(SPLIT, flush=True)
    print(TOTAL, total)


if __name__ == "__main__":
    main()
