"""One step of the attack IR against the official algorithm: `python -m benchmarks.attack_speed`.

The official algorithm is transcribed. It attacks one image at a time, in five passes of 1, 1, 32, 32 and 1 inputs, for
the loss, v(all), v(all without B), v(B) and v(empty). It takes the network without the optimisations of bench, with its
parameters frozen or not.

- On one thread, in processor time, with the share that bench reaches of the convolution peak of the same run.
- On all cores, in wall-clock time: the official algorithm in one process with all threads, as it is usually run,
  against one process of one thread for each core, as bench computes. Needs an idle machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench_attacks.plugin import RECIPES
from bench_core.executors.hardware import cpu_count
from bench_core.executors.settings import worker_environment
from bench_core.lean import lean
from bench_core.types import Budget, Examples
from bench_core.worker.streams import ImageStreams
from bench_models.embedded.architectures import ARCHITECTURES
from benchmarks.peak import operations
from benchmarks.side_by_side import compared, in_turns, report, setting

EPS, ALPHA, SAMPLES, CELLS = 16 / 255, 2 / 255, 32, 32
OURS, FROZEN, PLAIN = "bench", "official, parameters frozen", "official"


def examples(count: int, channels: int, side: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, side, side, generator=generator)
    return Examples(images, torch.arange(count) % 10, tuple(map(str, range(count))))


def bench_interaction_step(model: nn.Module, given: Examples, options: Mapping[str, Any]) -> Callable[[], None]:
    built = RECIPES["ir"].build(Budget("linf", EPS, ALPHA, 1), **options)

    def run() -> None:
        for _ in built(model, given, ImageStreams(0, given.ids)):
            pass

    return run


def official_interaction_step(model: nn.Module, given: Examples, grid: int) -> Callable[[], None]:
    """Return one step of the official algorithm on every image, one after the other (arXiv:2010.04055, app. L)."""
    side = given.images.shape[-1] // grid

    def attack_image(clean: Tensor, label: Tensor, delta: Tensor) -> Tensor:
        delta = delta.clone().requires_grad_(True)
        loss = cross_entropy(model(clean + delta), label)
        everything = model(clean + delta)
        masks = torch.ones(SAMPLES, 1, grid * grid, device=clean.device)
        for mask in masks:
            mask[0, torch.randperm(grid * grid, device=clean.device)[:CELLS]] = 0
        pixels = masks.view(SAMPLES, 1, grid, grid).repeat_interleave(side, 2).repeat_interleave(side, 3)
        without, alone = model(clean + delta * pixels), model(clean + delta * (1 - pixels))
        empty = model(clean)
        rival = everything[0].detach().scatter(0, label, -1e9).argmax()

        def utility(logits: Tensor) -> Tensor:
            return logits[:, rival] - logits[:, label[0]]

        interaction = (utility(everything) - utility(without) - utility(alone) + utility(empty)).mean()
        (loss - interaction).backward()
        assert delta.grad is not None
        return (delta.detach() + ALPHA * delta.grad.sign()).clamp(-EPS, EPS)

    def run() -> None:
        for image, label in zip(given.images.split(1), given.labels.split(1), strict=True):
            attack_image(image, label, torch.full_like(image, 1e-2))

    return run


def network_of(name: str) -> nn.Module:
    """Return an embedded network or torchvision's ResNet-18, untrained and frozen."""
    made = torchvision.models.resnet18(weights=None) if name == "resnet18" else ARCHITECTURES[name]()
    frozen: nn.Module = made.eval().requires_grad_(False)
    return frozen


def images_of(name: str) -> tuple[Examples, int]:
    """Return the images of one step, and the cells along each side of the grid that divides them."""
    return (examples(1, 3, 224), 16) if name == "resnet18" else (examples(8, 1, 28), 14)


@dataclass(frozen=True)
class Setup:
    """What bench computes in one step: the options of `ir` and the number of images; None as the official algorithm."""

    options: Mapping[str, Any] | None = None
    images: int | None = None


AS_OFFICIAL = Setup()


def step_of(contestant: str, name: str, setup: Setup = AS_OFFICIAL) -> Callable[[], None]:
    """Return one step of a contestant, on `images_of` the network."""
    network = network_of(name)
    given, grid = images_of(name)
    if contestant == OURS:
        options = setup.options or {"grid": grid, "samples": SAMPLES, "cells": CELLS}
        shape = given.images.shape
        given = given if setup.images is None else examples(setup.images, shape[1], shape[2])
        return bench_interaction_step(lean(network), given, options)
    return official_interaction_step(network.requires_grad_(contestant == PLAIN), given, grid)


def serve(calls: Connection, contestant: str, name: str, threads: int, setup: Setup) -> None:
    """Run one step of a contestant for each call received. The main function of a process."""
    torch.set_num_threads(threads)
    step = step_of(contestant, name, setup)
    step()
    calls.send("warm")
    while calls.recv():
        step()
        calls.send("done")


@contextmanager
def team(
    contestant: str, name: str, processes: int, threads: int, setup: Setup = AS_OFFICIAL
) -> Iterator[Callable[[], float]]:
    """Yield a function that runs one step in every process, and returns the seconds per process until all are done."""
    context = multiprocessing.get_context("spawn")
    pipes, usual = [], dict(os.environ)
    if contestant == OURS:
        os.environ.update(worker_environment(threads))  # as a worker of bench is started
    for _ in range(processes):
        here, there = context.Pipe()
        context.Process(target=serve, args=(there, contestant, name, threads, setup), daemon=True).start()
        pipes.append(here)
    os.environ.clear()
    os.environ.update(usual)
    for pipe in pipes:
        pipe.recv()

    def step() -> float:
        start = time.perf_counter()
        for pipe in pipes:
            pipe.send(True)
        for pipe in pipes:
            pipe.recv()
        return (time.perf_counter() - start) / processes

    try:
        yield step
    finally:
        for pipe in pipes:
            pipe.send(False)


def multiplications(name: str) -> int:
    """Return the multiply-adds of a forward pass of one image, in convolutions and linear layers."""
    model, (given, _), counted = network_of(name), images_of(name), 0

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal counted
        counted += output[0].numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model(given.images[:1])
    return counted


def one_thread(name: str, turns: int, peak: float) -> None:
    long = name == "resnet18"  # its steps take seconds, so that a warm-up would change little
    seconds = in_turns({label: step_of(label, name) for label in (OURS, FROZEN, PLAIN)}, turns, warm=long)
    count = len(images_of(name)[0].ids)
    # forwards of 65 points and the clean image, backwards of 65; a backward through frozen weights costs a forward
    work = 2 * multiplications(name) * (2 * (2 * SAMPLES + 1) + 1) * count
    share = work / statistics.median(seconds[OURS]) / peak
    table = compared(seconds, OURS, count / 1000, "ms an image")
    report(f"{name}, one thread", table, f"bench reaches {share:.0%} of the convolution peak")


def whole_machine(name: str, turns: int) -> None:
    cores, count = cpu_count(), len(images_of(name)[0].ids)
    teams = {OURS: (cores, 1), FROZEN: (1, cores), PLAIN: (1, cores)}
    with ExitStack() as stack:
        steps = {label: stack.enter_context(team(label, name, *size)) for label, size in teams.items()}
        seconds: dict[str, list[float]] = {label: [] for label in steps}
        for _ in range(turns):
            for label, step in steps.items():
                seconds[label].append(step())
    setup = f"bench {cores} processes of one thread, the official algorithm {cores} threads"
    report(f"{name}, the whole machine: {setup}", compared(seconds, OURS, count / 1000, "ms an image"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    torch.manual_seed(0)
    peak = operations()["3 x 3 convolution"]
    for name in ("ResNet-S", "ResNet-L", "VGG"):
        one_thread(name, turns, peak)
        whole_machine(name, turns)
    one_thread("resnet18", max(2, turns // 2), peak)  # torchvision's, 224 pixels
    whole_machine("resnet18", max(2, turns // 2))
    print("\n" + setting(turns, "torchvision"))


if __name__ == "__main__":
    main()
