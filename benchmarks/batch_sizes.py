"""The best batch size on a CPU: `python -m benchmarks.batch_sizes`.

Times the gradient of 128 inputs (16 at 224 pixels) in batches of several sizes. The size that `bench_core.batches`
chooses is marked. Processor time, one thread.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from bench_core.batches import at_once
from bench_core.lean import lean
from benchmarks.attack_speed import images_of, network_of
from benchmarks.side_by_side import compared, in_turns, report, setting

SIZES = (1, 4, 8, 16, 25, 50, 64, 128)


def gradient(network: Callable[[Tensor], Tensor], images: Tensor, size: int) -> None:
    """Compute the gradient with respect to the images, in batches of `size`."""
    for part in images.split(size):
        given = part.clone().requires_grad_(True)
        torch.autograd.grad(network(given).sum(), given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in ("ResNet-S", "ResNet-L", "VGG", "MobileNet", "resnet18"):
        network, (given, _) = lean(network_of(name)), images_of(name)
        count = 16 if name == "resnet18" else 128
        images = torch.rand(count, *given.images.shape[1:])
        sizes = [size for size in SIZES if size <= count]
        chosen = at_once(network, images)
        labels = {size: f"{size}{' (bench)' if size == chosen else ''}" for size in sizes}
        seconds = in_turns({labels[size]: partial(gradient, network, images, size) for size in sizes}, turns)
        table = compared(seconds, labels[chosen], count / 1000, "ms an input")
        report(f"{name}, {given.images.shape[-1]} pixels, batch size", table)
    print("\n" + setting(turns, "torchvision"))


if __name__ == "__main__":
    main()
