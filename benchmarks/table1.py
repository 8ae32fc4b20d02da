"""The main job against the machine's limit: `python -m benchmarks.table1`.

`transfer_table1` from nothing, on the first images of its list, with one worker for each processor: wall clock; and
beside it two times that no way to run it can beat. Both are for the forwards and backwards that `bench plan` tells:

- their multiplications at the speed of the fastest convolution of the same run; counted are only products of a weight
  and a pixel, none with padding;
- their convolutions as torch computes them, each timed by itself, forwards and back, with nothing between them.

Wants an idle machine. `--images 300` is the whole suite.
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
from bench_core.planning.planner import Planner, Selection
from bench_core.registry import discover
from bench_core.run import make_planner
from bench_core.suite.model import members
from bench_models.embedded.networks import ARCHITECTURES
from bench_models.lean.make import lean
from benchmarks.peak import operations
from benchmarks.side_by_side import in_turns, say, setting

BATCH, TURNS = 63, 5  # the inputs of seven images of IR; of which turns the fastest counts


def products(name: str) -> int:
    """Multiply-adds of one forward of an image through an embedded network's convolutions and linear layers."""
    network, counted = ARCHITECTURES[name]().eval(), 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        taps = 1.0
        if isinstance(module, nn.Conv2d):
            sides = zip(inputs[0].shape[2:], output.shape[2:], module.kernel_size, module.stride, strict=True)
            met = [sum(inside(side, *how) for how in axis(out, kernel, stride)) for side, out, kernel, stride in sides]
            taps = met[0] * met[1] / (output[0, 0].numel() * module.kernel_size[0] * module.kernel_size[1])
        counted += round(output[0].numel() * module.weight[0].numel() * taps)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 1, 28, 28))
    return counted


def axis(outputs: int, kernel: int, stride: int) -> Iterator[tuple[int, int]]:
    """First pixel and length of the window of each output, along one side of an image padded by half a kernel."""
    yield from ((output * stride - kernel // 2, kernel) for output in range(outputs))


def inside(side: int, first: int, length: int) -> int:
    return min(side, first + length) - max(0, first)


def convolutions(name: str) -> tuple[float, float]:
    """Seconds of one thread for an image's convolutions: forwards, and back to their inputs; each by itself, warm."""
    network, met = lean(ARCHITECTURES[name]()), list[tuple[nn.Module, torch.Size]]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, _: met.append((module, inputs[0].shape)))
    with torch.no_grad():
        network(torch.zeros(BATCH, 1, 28, 28))
    there = back = 0.0
    for module, shape in met:
        images = torch.rand(shape).contiguous(memory_format=torch.channels_last).requires_grad_(True)
        out = module.forward(images)
        gradient = torch.ones_like(out)
        ways = {
            "there": partial(module.forward, images.detach()),
            "back": partial(torch.autograd.grad, out, images, gradient, retain_graph=True),
        }
        seconds = in_turns(ways, TURNS)
        there, back = there + min(seconds["there"]) / BATCH, back + min(seconds["back"]) / BATCH
    return there, back


def work(planner: Planner, images: int) -> list[tuple[str, float, float, float]]:
    """Passes, multiply-adds and seconds of convolutions of the plan for so many images: of sources, and of targets."""
    assert planner.images is not None
    jobs = planner.selected_jobs(Selection(tuple(range(images)), planner.images.ids[:images]))
    targets = planner.suite.targets
    known = {
        name: (products(name), *convolutions(name))
        for name in sorted({*targets, *(name for source in planner.suite.sources for name in members(source))})
    }
    sums = {"sources": [0.0] * 3, "targets": [0.0] * 3}
    for job in jobs:
        forwards, backwards = job.cost
        for name in job.spec["source"]["members"] if job.spec["attack"] else ():
            much, there, back = known[name]
            add(
                sums["sources"],
                forwards + backwards,
                (forwards + backwards) * much,
                forwards * there + backwards * back,
            )
        for name in targets:
            much, there, _ = known[name]
            each = job.evaluations / len(targets)
            add(sums["targets"], each, each * much, each * there)
    return [(label, *each) for label, each in sums.items()]


def add(sums: list[float], *amounts: float) -> None:
    sums[:] = [one + other for one, other in zip(sums, amounts, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=25)
    images = parser.parse_args().images
    torch.set_num_threads(cpu_count())
    peak = operations()["3 x 3 convolution"]
    suite, registry = load_suite("transfer_table1", "embedded", (f"images.count={images}",)), discover()
    whole = load_suite("transfer_table1", "embedded").images.count or images
    torch.set_num_threads(1)
    counted = work(make_planner(suite, registry, device="cpu"), images)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run(suite, out=folder, device="cpu", registry=registry, strict=True)
        taken = time.perf_counter() - start
    rows = [
        [name, f"{passes:,.0f}", f"{much / 1e12:.1f}", f"{2 * much / peak:.0f}", f"{seconds / cpu_count():.0f}"]
        for name, passes, much, seconds in counted
    ]
    at_peak = 2 * sum(much for _, _, much, _ in counted) / peak
    alone = sum(seconds for *_, seconds in counted) / cpu_count()
    head = ["through", "passes", "10^12 multiply-adds", "s at the peak", "s of convolutions"]
    say(
        f"transfer_table1, {images} images, {cpu_count()} processors that reach {peak / 1e9:.0f} GFLOP/s together",
        tabulate(rows, head, disable_numparse=True),
        f"the run took {taken:.0f} s: {taken / at_peak:.2f} times its multiplications at the peak ({at_peak:.0f} s), "
        f"{taken / alone:.2f} times its convolutions alone ({alone:.0f} s)",
        f"all {whole} images of the suite: {alone * whole / images:.0f} s of convolutions, which nothing here beats "
        "that computes them in float32 with torch",
        setting(1),
    )


if __name__ == "__main__":
    main()
