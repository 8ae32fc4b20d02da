"""Speed of the attacks against other implementations, side by side in one run: `python benchmarks/attack_speed.py`.

- PGD on an embedded network, against torchattacks' PGD: on the very same network, and on the network as it comes out of
  training (batch normalisation not folded, parameters that want gradients).
- One step of the interaction-reduced attack, against a transcription of the official algorithm, which takes one image
  at a time: five passes of 1, 1, 32, 32 and 1 inputs for the loss, v(all), v(all without B), v(B) and v(empty).
  Parameters frozen or not, on the network as it comes out of training.
- The share of the machine's convolution peak, measured in the same run, that our step reaches.
- The same steps on the whole machine: the official algorithm with all threads in one process, as it is run, against one
  process of one thread for each core, as bench computes.

Times of one thread are its processor time, contestants take turns, and a ratio is the median over the turns: a machine
that is busy with other things slows both alike, and only through the memory that they share. Those of the whole machine
are wall-clock time, and want an idle one.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy

from bench_attacks.recipes import RECIPES
from bench_core.streams import ImageStreams
from bench_core.types import Budget, Examples
from bench_models.embedded.networks import ARCHITECTURES
from bench_models.folding import lean

EPS, ALPHA, SAMPLES = 16 / 255, 2 / 255, 32
Contestants = Mapping[str, Callable[[], object]]


def in_turns(contestants: Contestants, turns: int) -> dict[str, list[float]]:
    """Time every contestant once a turn, after one turn to warm up; seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns + 1):
        for name, contestant in contestants.items():
            start = time.process_time()
            contestant()
            if turn:
                seconds[name].append(time.process_time() - start)
    return seconds


def report(title: str, seconds: Mapping[str, list[float]], units: int, ours: str) -> None:
    print(f"\n{title}")
    for name, times in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(times, seconds[ours], strict=True)]
        line = f"  {name:48s} {1000 * statistics.median(times) / units:9.3f} ms"
        print(line if name == ours else f"{line}   ours is {statistics.median(ratios):.2f} times as fast")


def examples(count: int, channels: int, side: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, side, side, generator=generator)
    return Examples(images, torch.arange(count) % 10, tuple(map(str, range(count))))


def attack(name: str, model: nn.Module, given: Examples, steps: int, **options: object) -> Callable[[], None]:
    built = RECIPES[name].build(Budget("linf", EPS, ALPHA, steps), **options)

    def run() -> None:
        for _ in built(model, given, ImageStreams(0, given.ids)):
            pass

    return run


def official_interaction_step(model: nn.Module, given: Examples, grid: int, cells: int) -> Callable[[], None]:
    """One step of the official algorithm on every image, one after the other (arXiv:2010.04055, app. L)."""
    side = given.images.shape[-1] // grid

    def step_of_one(clean: Tensor, label: Tensor, delta: Tensor) -> Tensor:
        delta = delta.clone().requires_grad_(True)
        loss = cross_entropy(model(clean + delta), label)
        everything = model(clean + delta)
        masks = torch.ones(SAMPLES, 1, grid * grid)
        for mask in masks:
            mask[0, torch.randperm(grid * grid)[:cells]] = 0
        pixels = masks.view(SAMPLES, 1, grid, grid).repeat_interleave(side, 2).repeat_interleave(side, 3)
        without, alone = model(clean + delta * pixels), model(clean + delta * (1 - pixels))
        nothing = model(clean)
        rival = everything[0].detach().scatter(0, label, -1e9).argmax()

        def utility(logits: Tensor) -> Tensor:
            return logits[:, rival] - logits[:, label[0]]

        interaction = (utility(everything) - utility(without) - utility(alone) + utility(nothing)).mean()
        (loss - interaction).backward()
        assert delta.grad is not None
        return (delta.detach() + ALPHA * delta.grad.sign()).clamp(-EPS, EPS)

    def run() -> None:
        for image, label in zip(given.images.split(1), given.labels.split(1), strict=True):
            step_of_one(image, label, torch.full_like(image, 1e-2))

    return run


def multiplications(model: nn.Module, given: Examples) -> int:
    """Multiply-adds of one forward pass of one image, in convolutions and linear layers."""
    counted = 0

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal counted
        counted += output[0].numel() * module.weight[0].numel()

    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    model(given.images[:1])
    for handle in handles:
        handle.remove()
    return counted


def convolution_peak() -> float:
    """Floating-point operations a second of the best of some 3 x 3 convolutions, channels last."""
    best = 0.0
    for count, channels, side in ((64, 64, 28), (32, 64, 56), (64, 128, 28)):
        images = torch.rand(count, channels, side, side).contiguous(memory_format=torch.channels_last)
        weight = torch.rand(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seconds = in_turns({"": lambda images=images, weight=weight: conv2d(images, weight, padding=1)}, 8)[""]
        best = max(best, 2 * images.numel() * channels * 9 / min(seconds))
    return best


def pgd(network: nn.Module, batch: int, turns: int) -> None:
    import torchattacks

    given, ours, steps = examples(batch, 1, 28), lean(copy.deepcopy(network)), 10

    def theirs(model: nn.Module) -> Callable[[], object]:
        made = torchattacks.PGD(model, eps=EPS, alpha=ALPHA, steps=steps, random_start=False)
        return lambda: made(given.images, given.labels)

    trained = copy.deepcopy(network).requires_grad_(True)
    contestants: Contestants = {
        "ours": attack("pgd", ours, given, steps),
        "torchattacks, our network": theirs(ours),
        "torchattacks, as trained, parameters frozen": theirs(network),
        "torchattacks, as trained": theirs(trained),
    }
    report(f"PGD, batch {batch}, a step and image", in_turns(contestants, turns), batch * steps, "ours")


def network_of(name: str) -> nn.Module:
    """An embedded network or torchvision's ResNet-18, untrained and frozen."""
    made = torchvision.models.resnet18(weights=None) if name == "resnet18" else ARCHITECTURES[name]()
    frozen: nn.Module = made.eval().requires_grad_(False)
    return frozen


def step_of(contestant: str, name: str) -> Callable[[], None]:
    network = network_of(name)
    given, grid = (examples(1, 3, 224), 16) if name == "resnet18" else (examples(8, 1, 28), 14)
    if contestant == "ours":
        return attack("ir", lean(network), given, 1, grid=grid, samples=SAMPLES, cells=32)
    return official_interaction_step(network.requires_grad_(contestant == "official"), given, grid, 32)


def serve(calls: Connection, contestant: str, name: str, threads: int) -> None:
    """Run a contestant once for each call, in a process of its own."""
    torch.set_num_threads(threads)
    step = step_of(contestant, name)
    step()
    calls.send("warm")
    while calls.recv():
        step()
        calls.send("done")


@contextmanager
def team(contestant: str, name: str, processes: int, threads: int):  # type: ignore[no-untyped-def]
    """Give a function that has every process of a team take one step, and the seconds until the last has."""
    context = multiprocessing.get_context("spawn")
    lines = []
    for _ in range(processes):
        here, there = context.Pipe()
        context.Process(target=serve, args=(there, contestant, name, threads), daemon=True).start()
        lines.append(here)
    for line in lines:
        line.recv()

    def step() -> float:
        start = time.perf_counter()
        for line in lines:
            line.send(True)
        for line in lines:
            line.recv()
        return (time.perf_counter() - start) / processes

    try:
        yield step
    finally:
        for line in lines:
            line.send(False)


def whole_machine(name: str, title: str, turns: int) -> None:
    cores = len(os.sched_getaffinity(0))
    teams = {
        f"ours, {cores} processes of one thread": ("ours", cores, 1),
        f"official, {cores} threads, parameters frozen": ("official, frozen", 1, cores),
        f"official, {cores} threads": ("official", 1, cores),
    }
    with ExitStack() as stack:
        steps = {label: stack.enter_context(team(who, name, *how)) for label, (who, *how) in teams.items()}
        seconds: dict[str, list[float]] = {label: [] for label in steps}
        for _ in range(turns):
            for label, step in steps.items():
                seconds[label].append(step())
    report(f"IR, {title}, whole machine, a step and image", seconds, 1 if name == "resnet18" else 8, next(iter(teams)))


def interaction(network: nn.Module, given: Examples, grid: int, title: str, peak: float, turns: int) -> None:
    ours, count = lean(copy.deepcopy(network)), len(given.ids)
    trained = copy.deepcopy(network).requires_grad_(True)
    contestants: Contestants = {
        "ours": attack("ir", ours, given, 1, grid=grid, samples=SAMPLES, cells=32),
        "official, as trained, parameters frozen": official_interaction_step(network, given, grid, 32),
        "official, as trained": official_interaction_step(trained, given, grid, 32),
    }
    seconds = in_turns(contestants, turns)
    report(f"IR, {title}, a step and image", seconds, count, "ours")
    # forwards of 65 points and the clean image, backwards of 65; a backward through frozen weights costs a forward
    work = 2 * multiplications(ours, given) * (2 * (2 * SAMPLES + 1) + 1) * count
    print(f"  share of the convolution peak: {work / statistics.median(seconds['ours']) / peak:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    peak = convolution_peak()
    print(f"torch {torch.__version__}, one thread, convolution peak {peak / 1e9:.0f} GFLOP/s")
    for batch in (64, 256):
        pgd(network_of("ResNet-S"), batch, chosen.turns)
    for name in ("ResNet-S", "ResNet-L", "VGG", "MobileNet"):
        interaction(network_of(name), examples(8, 1, 28), 14, f"{name} at 28 pixels", peak, chosen.turns)
        whole_machine(name, f"{name} at 28 pixels", chosen.turns)
    title, turns = "torchvision's ResNet-18 at 224 pixels", max(2, chosen.turns // 3)
    interaction(network_of("resnet18"), examples(1, 3, 224), 16, title, peak, turns)
    whole_machine("resnet18", title, turns)


if __name__ == "__main__":
    main()
