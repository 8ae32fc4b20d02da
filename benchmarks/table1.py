"""The first leaderboard from nothing, against the machine and the official algorithm: `python -m benchmarks.table1`.

- `bench run transfer_table1` as a newcomer runs it, with an empty store and one worker per processor: the wall-clock
  seconds from the start of the command to the first attack, to the first table, and to the end.
- Two lower bounds, both for the forward and backward passes that `bench plan` lists: their multiplications, at the
  speed of the fastest convolution measured in the same run (products of a weight and a pixel, none with padding), and
  their convolutions as torch computes them, each timed alone, forward and backward.
- IR as the suite has it against the official algorithm as published: one image at a time, 32 samples, 67 forwards. Both
  transfer as well: `python -m benchmarks.ir_samples` compares the suite's number of samples with 32.

Needs an idle machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from tabulate import tabulate
from torch import Tensor, nn

from bench_core import load_suite
from bench_core.executors.hardware import cpu_count
from bench_core.lean import lean
from bench_core.planning.jobs import AttackJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.resolve import ResolvedSuite
from bench_core.planning.selection import Selection
from bench_core.registry import discover
from bench_core.run_suite import resolve_suite
from bench_core.suite.model import Suite, members
from bench_models.embedded.architectures import ARCHITECTURES
from benchmarks.attack_speed import FROZEN, OURS, PLAIN, SAMPLES, Setup, team
from benchmarks.checkouts import spent_so_far
from benchmarks.peak import operations
from benchmarks.side_by_side import compared, in_turns, report, setting

SUITE = "transfer_table1"
COMPARED = ("ResNet-S", "ResNet-L", "VGG")  # sources on which IR is compared with the official algorithm
OFFICIAL_IMAGES = 8  # of a step of the official algorithm, one after the other
BATCH, TURNS = 63, 5  # a batch is IR's inputs for seven images; the fastest turn counts


def products(name: str) -> int:
    """Return the multiply-adds of one image in an embedded network's convolutions and linear layers, forward."""
    network, counted = ARCHITECTURES[name]().eval(), 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        taps = 1.0
        if isinstance(module, nn.Conv2d):
            sides = zip(inputs[0].shape[2:], output.shape[2:], module.kernel_size, module.stride, strict=True)
            inside_pixels = [
                sum(inside(side, *window) for window in axis(out, kernel, stride))
                for side, out, kernel, stride in sides
            ]
            taps = (
                inside_pixels[0]
                * inside_pixels[1]
                / (output[0, 0].numel() * module.kernel_size[0] * module.kernel_size[1])
            )
        counted += round(output[0].numel() * module.weight[0].numel() * taps)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 1, 28, 28))
    return counted


def axis(outputs: int, kernel: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield the first pixel and the length of each output's window, along a side padded by half a kernel."""
    yield from ((output * stride - kernel // 2, kernel) for output in range(outputs))


def inside(side: int, first: int, length: int) -> int:
    """Return how many pixels of a window are inside the image."""
    return min(side, first + length) - max(0, first)


def convolutions(name: str) -> tuple[float, float]:
    """Return the seconds of one thread for an image's convolutions, forward and backward, each timed alone and warm."""
    network, calls = lean(ARCHITECTURES[name]()), list[tuple[nn.Module, torch.Size]]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, _: calls.append((module, inputs[0].shape)))
    with torch.no_grad():
        network(torch.zeros(BATCH, 1, 28, 28))
    forward = backward = 0.0
    for module, shape in calls:
        images = torch.rand(shape).contiguous(memory_format=torch.channels_last).requires_grad_(True)
        out = module.forward(images)
        gradient = torch.ones_like(out)
        ways = {
            "forward": partial(module.forward, images.detach()),
            "backward": partial(torch.autograd.grad, out, images, gradient, retain_graph=True),
        }
        seconds = in_turns(ways, TURNS)
        forward += min(seconds["forward"]) / BATCH
        backward += min(seconds["backward"]) / BATCH
    return forward, backward


def work(resolved: ResolvedSuite, images: int) -> list[tuple[str, float, float, float]]:
    """Return the plan's passes, multiply-adds and seconds of convolutions, of sources and of targets."""
    assert resolved.images is not None
    jobs = selected_jobs(resolved, Selection(tuple(range(images)), tuple(resolved.images.ids[:images])))
    targets = resolved.suite.targets
    known = {
        name: (products(name), *convolutions(name))
        for name in sorted({*targets, *(name for source in resolved.suite.sources for name in members(source))})
    }
    sums = {"sources": [0.0] * 3, "targets": [0.0] * 3}
    for job in jobs:
        names = job.job.members if isinstance(job.job, AttackJob) else ()
        forwards, backwards = (passes / max(1, len(names)) for passes in job.cost)  # of each member
        for name in names:
            adds, forward, backward = known[name]
            add(
                sums["sources"],
                forwards + backwards,
                (forwards + backwards) * adds,
                forwards * forward + backwards * backward,
            )
        for name in targets:
            adds, forward, _ = known[name]
            passes = job.evaluations / len(targets)
            add(sums["targets"], passes, passes * adds, passes * forward)
    return [(label, *amounts) for label, amounts in sums.items()]


def add(sums: list[float], *amounts: float) -> None:
    sums[:] = [total + amount for total, amount in zip(sums, amounts, strict=True)]


@dataclass(frozen=True)
class Timeline:
    """What a run printed, each line with its seconds since the start of the command, and what the run spent."""

    lines: Sequence[tuple[float, str]]
    wall: float
    processor: float

    def first(self, text: str) -> float:
        """Return when the first line with a text was printed; the end of the run if none was."""
        return next((seconds for seconds, line in self.lines if text in line), self.wall)


def newcomer(images: int) -> Timeline:
    """Run the suite from an empty store, as a command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench_core.cli", "run", SUITE, "--images", str(images), "--strict"]
        before, lines = spent_so_far(), list[tuple[float, str]]()
        with subprocess.Popen(
            [*command, "--device", "cpu", "--out", folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stderr is not None
            lines += [(time.perf_counter() - before.wall, line) for line in run.stderr]
        after = spent_so_far()
    if run.returncode:
        raise SystemExit("".join(line for _, line in lines))
    return Timeline(lines, after.wall - before.wall, after.processor - before.processor)


def moments(timeline: Timeline, images: int) -> str:
    """Return a table of what a newcomer waits for."""
    rows = [
        ["until the first attack starts", f"{timeline.first('clean images: done'):.1f}"],
        ["until the first table", f"{timeline.first(f' of {images} images'):.0f}"],
        ["until the end", f"{timeline.wall:.0f}"],
        ["processor time, all processes", f"{timeline.processor:.0f}"],
    ]
    return tabulate(rows, ["", "s"], disable_numparse=True, colalign=["left", "right"])


def bounds(suite: Suite, images: int, peak: float, taken: float) -> tuple[str, str]:
    """Return a table of the passes and their lower bounds, and the run's time in units of these."""
    counted = work(resolve_suite(suite, discover(), device="cpu"), images)
    rows = [
        [name, f"{passes:,.0f}", f"{adds / 1e12:.1f}", f"{2 * adds / peak:.0f}", f"{seconds / cpu_count():.0f}"]
        for name, passes, adds, seconds in counted
    ]
    at_peak = 2 * sum(adds for _, _, adds, _ in counted) / peak
    alone = sum(seconds for *_, seconds in counted) / cpu_count()
    head = ["networks", "passes", "10^12 multiply-adds", "s at the peak", "s of convolutions"]
    return (
        tabulate(rows, head, disable_numparse=True),
        f"the run took {taken:.0f} s: {taken / at_peak:.2f} times its multiplications at the peak ({at_peak:.0f} s), "
        f"{taken / alone:.2f} times its convolutions alone ({alone:.0f} s), which are {alone / taken:.0%} of its time",
    )


def against_official(name: str, suite: Suite, turns: int) -> str:
    """Return a table of a step of IR as in the suite and of the official algorithm, each on the whole machine."""
    cores, images = cpu_count(), suite.compute.micro_batch
    setup = Setup(suite.attacks["IR"].options, images)
    count = {OURS: images, FROZEN: OFFICIAL_IMAGES, PLAIN: OFFICIAL_IMAGES}
    with ExitStack() as stack:
        steps = {
            OURS: stack.enter_context(team(OURS, name, cores, 1, setup)),
            **{label: stack.enter_context(team(label, name, 1, cores)) for label in (FROZEN, PLAIN)},
        }
        seconds: dict[str, list[float]] = {label: [] for label in steps}
        for _ in range(turns):
            for label, step in steps.items():
                seconds[label].append(step() / count[label])
    return compared(seconds, OURS, 1 / 1000, "ms a step and image")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="images to attack (default: the suite's own number)")
    parser.add_argument("--turns", type=int, default=5, help="turns of IR and the official algorithm")
    given = parser.parse_args()
    suite = load_suite(SUITE, "embedded")
    images = given.images or suite.images.count
    torch.set_num_threads(cpu_count())
    peak = operations()["3 x 3 convolution"]
    torch.set_num_threads(1)
    timeline = newcomer(images)
    first = suite.compute.micro_batch
    report(
        f"bench run {SUITE}, {images} images from an empty store, {cpu_count()} processors",
        moments(timeline, images),
        f"the first table is of {first} images",
    )
    report(
        f"Its passes, {cpu_count()} processors with {peak / 1e9:.0f} GFLOP/s in total",
        *bounds(load_suite(SUITE, "embedded", (f"images.count={images}",)), images, peak, timeline.wall),
    )
    samples = suite.attacks["IR"].options["samples"]
    for name in COMPARED:
        report(
            f"{name}, IR with {samples} samples against the official algorithm with {SAMPLES}, the whole machine",
            against_official(name, suite, given.turns),
        )
    print("\n" + setting(given.turns))


if __name__ == "__main__":
    main()
