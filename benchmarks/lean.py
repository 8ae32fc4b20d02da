"""What each optimisation of a network saves: `python -m benchmarks.lean`.

Times the gradient of 63 inputs (interaction reduction on seven images) after each step of `bench_core.lean`; the
backward pass of first convolutions; and a process with a worker's environment, in which the C library keeps freed
memory, against one with the usual environment. Processor time, one thread.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import nn

from bench_core.executors.settings import worker_environment
from bench_core.lean import lean
from bench_core.lean.activations import activate_in_place, pool_before_activation
from bench_core.lean.folding import fold_batch_norm
from bench_core.lean.thin_conv import ThinConv2d
from benchmarks.attack_speed import network_of
from benchmarks.batch_sizes import gradient
from benchmarks.side_by_side import compared, in_turns, report, setting

BATCH, PASSES = 63, 20
NETWORKS = ("AlexNet", "VGG", "ResNet-L", "DenseNet-L")
STEPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "as trained, frozen": lambda network: network,
    "channels last": lambda network: network.to(memory_format=torch.channels_last),
    "batch normalisation folded": fold_batch_norm,
    "pooling before ReLU": pool_before_activation,
    "ReLU in place": activate_in_place,
    "thin first convolution": lean,  # `lean` takes all steps, of which only this one is left
}
# channels, outputs, kernel, stride, padding, pixels along a side, images
FIRST = {"3 x 3, 28 px": (1, 32, 3, 1, 1, 28, 64), "5 x 5, 28 px": (1, 32, 5, 1, 2, 28, 64),
         "7 x 7 / 2, 224 px": (3, 64, 7, 2, 3, 224, 8)}  # fmt: skip


def lean_up_to(name: str, steps: int) -> nn.Module:
    network = network_of(name)
    for step in list(STEPS.values())[:steps]:
        network = step(network)
    return network.requires_grad_(False)


def backward(conv: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    out = conv(images)
    output_gradient = torch.ones_like(out).contiguous(memory_format=torch.channels_last)  # its layout in a lean network
    return partial(torch.autograd.grad, out, images, output_gradient, retain_graph=True)


def first_convolution(channels: int, outputs: int, kernel: int, stride: int, padding: int, pixels: int, count: int,
                      turns: int) -> str:  # fmt: skip
    images = torch.rand(count, channels, pixels, pixels).requires_grad_(True)
    plain = nn.Conv2d(channels, outputs, kernel, stride, padding).requires_grad_(False)
    plain = plain.to(memory_format=torch.channels_last)
    ways = {"thin": backward(ThinConv2d.from_conv(plain), images), "torch's": backward(plain, images)}
    return compared(in_turns(ways, turns), "thin", count / 1e6, "us per input")


def time_here(name: str) -> None:
    torch.set_num_threads(1)
    network, images = lean(network_of(name)), torch.rand(BATCH, 1, 28, 28)
    gradient(network, images, BATCH)
    start = time.process_time()
    for _ in range(PASSES):
        gradient(network, images, BATCH)
    print((time.process_time() - start) / PASSES)


def seconds_in_process(name: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-m", "benchmarks.lean", "--process", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--process", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.process:
        return time_here(given.process)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.rand(BATCH, 1, 28, 28)
    last = list(STEPS)[-1]
    for name in NETWORKS:
        ways = {
            label: partial(gradient, lean_up_to(name, steps), images, BATCH) for steps, label in enumerate(STEPS, 1)
        }
        report(f"{name}, after each step", compared(in_turns(ways, given.turns), last, BATCH / 1e6, "us per input"))
    for label, shape in FIRST.items():
        report(f"Backward pass of a first convolution, {label}", first_convolution(*shape, given.turns))
    usual = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environments = {"worker environment": {**usual, **worker_environment(1)}, "usual environment": usual}
    seconds: dict[str, list[float]] = {label: [] for label in environments}
    for _ in range(given.turns):
        for label, environment in environments.items():
            seconds[label].append(seconds_in_process("VGG", environment))
    report("VGG in a new process", compared(seconds, "worker environment", BATCH / 1e6, "us per input"))
    print("\n" + setting(given.turns) + "; one thread")
    return None


if __name__ == "__main__":
    main()
