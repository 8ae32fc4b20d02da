"""The main suite against the peak speed of the machine: `python -m benchmarks.table1`.

Runs `transfer_table1` with an empty store on its first images, with one worker per processor (wall-clock time), and
compares it with two lower bounds. Both are for the forward and backward passes that `bench plan` lists:

- their multiplications, at the speed of the fastest convolution measured in the same run; only products of a weight and
  a pixel count, none with padding;
- their convolutions as torch computes them, each timed alone, forward and backward.

Needs an idle machine. `--images 300` is the complete suite.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from tabulate import tabulate
from torch import Tensor, nn

from bench_core import load_suite, run
from bench_core.executors.hardware import cpu_count
from bench_core.lean import lean
from bench_core.planning.jobs import AttackJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.resolve import ResolvedSuite
from bench_core.planning.selection import Selection
from bench_core.registry import discover
from bench_core.run_suite import resolve_suite
from bench_core.suite.model import members
from bench_models.embedded.networks import ARCHITECTURES
from benchmarks.peak import operations
from benchmarks.side_by_side import in_turns, report, setting

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=25)
    images = parser.parse_args().images
    torch.set_num_threads(cpu_count())
    peak = operations()["3 x 3 convolution"]
    suite, registry = load_suite("transfer_table1", "embedded", (f"images.count={images}",)), discover()
    suite_images = load_suite("transfer_table1", "embedded").images.count or images
    torch.set_num_threads(1)
    counted = work(resolve_suite(suite, registry, device="cpu"), images)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run(suite, out=folder, device="cpu", registry=registry, strict=True)
        taken = time.perf_counter() - start
    rows = [
        [name, f"{passes:,.0f}", f"{adds / 1e12:.1f}", f"{2 * adds / peak:.0f}", f"{seconds / cpu_count():.0f}"]
        for name, passes, adds, seconds in counted
    ]
    at_peak = 2 * sum(adds for _, _, adds, _ in counted) / peak
    alone = sum(seconds for *_, seconds in counted) / cpu_count()
    head = ["networks", "passes", "10^12 multiply-adds", "s at the peak", "s of convolutions"]
    report(
        f"transfer_table1, {images} images, {cpu_count()} processors with {peak / 1e9:.0f} GFLOP/s in total",
        tabulate(rows, head, disable_numparse=True),
        f"the run took {taken:.0f} s: {taken / at_peak:.2f} times its multiplications at the peak ({at_peak:.0f} s), "
        f"{taken / alone:.2f} times its convolutions alone ({alone:.0f} s)",
        f"all {suite_images} images of the suite: {alone * suite_images / images:.0f} s of convolutions, a bound for "
        "float32 with torch on this machine",
        setting(1),
    )


if __name__ == "__main__":
    main()
