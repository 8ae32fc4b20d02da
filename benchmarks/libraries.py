"""PGD and MI against torchattacks and foolbox: `python -m benchmarks.libraries`.

All attack the same images with the same number of steps. bench attacks its lean network (batch normalisation folded,
parameters frozen, channels last); the libraries attack the same network, and the network as it was trained. One thread,
processor time.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import foolbox
import torch
import torchattacks
from torch import nn

from bench_attacks.plugin import RECIPES
from bench_core.lean import lean
from bench_core.types import Budget, Examples
from bench_core.worker.streams import ImageStreams
from bench_models.embedded.architectures import ARCHITECTURES
from benchmarks.side_by_side import compared, in_turns, report, setting

EPS, STEP_SIZE, STEPS = 16 / 255, 2 / 255, 5


def bench_attack(name: str, network: nn.Module, given: Examples) -> Callable[[], object]:
    built = RECIPES[name].build(Budget("linf", EPS, STEP_SIZE, STEPS))
    return lambda: [None for _ in built(network, given, ImageStreams(0, given.ids))]


def torchattacks_attack(name: str, network: nn.Module, given: Examples) -> Callable[[], object]:
    made = {
        "pgd": lambda: torchattacks.PGD(network, eps=EPS, alpha=STEP_SIZE, steps=STEPS, random_start=False),
        "mi": lambda: torchattacks.MIFGSM(network, eps=EPS, alpha=STEP_SIZE, steps=STEPS),
    }[name]()
    return lambda: made(given.images, given.labels)


def foolbox_attack(name: str, network: nn.Module, given: Examples) -> Callable[[], object]:
    wrapped = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    names = {"pgd": "LinfProjectedGradientDescentAttack", "mi": "LinfMomentumIterativeFastGradientMethod"}
    attack = getattr(foolbox.attacks, names[name])(abs_stepsize=STEP_SIZE, steps=STEPS, random_start=False)
    return lambda: attack(wrapped, given.images, given.labels, epsilons=EPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trained = ARCHITECTURES["ResNet-S"]().eval()
    network = lean(copy.deepcopy(trained))
    for name in ("pgd", "mi"):
        for batch in (64, 256):
            images = torch.rand(batch, 1, 28, 28)
            given = Examples(images, torch.arange(batch) % 10, tuple(map(str, range(batch))))
            contestants = {
                "bench": bench_attack(name, network, given),
                "torchattacks, same network": torchattacks_attack(name, network, given),
                "foolbox, same network": foolbox_attack(name, network, given),
                "torchattacks, as trained": torchattacks_attack(name, trained, given),
                "foolbox, as trained": foolbox_attack(name, trained, given),
            }
            seconds = in_turns(contestants, turns)
            report(
                f"{name.upper()}, batch {batch}",
                compared(seconds, "bench", STEPS * batch / 1000, "ms per step and image"),
            )
    print("\n" + setting(turns, "torchattacks", "foolbox") + "; one thread")


if __name__ == "__main__":
    main()
