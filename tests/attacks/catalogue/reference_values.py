"""A frozen value of every attack, so that no change of its results goes unnoticed.

`python -m tests.attacks.catalogue.reference_values NAME...` computes the values of these attacks and writes them to
reference_values.json, one attack a line, in alphabetical order; without a name, those of all attacks that have none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import nn

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.plugin import RECIPES
from bench_core.logits import LOSSES
from bench_core.types import Attack, Budget, Examples
from bench_models.embedded.recipe import FashionMnist1000, build
from bench_models.ensemble import Ensemble

from .. import scene

FILE = Path(__file__).with_name("reference_values.json")
SHAPE = (1, 28, 28)
IMAGES = range(50, 1000, 125)  # eight images of as many classes
OF_ENSEMBLES = ("adaea", "cwa", "smer")


@cache
def network() -> nn.Module:
    model: nn.Module = build("ResNet-S").double()
    return model


@cache
def ensemble() -> nn.Module:
    return Ensemble([network(), build("VGG").double(), build("DenseNet-S").double()], "logits")


@cache
def transformer() -> nn.Module:
    """The vision transformer, for attacks on attention."""
    model: nn.Module = build("ViT").double()
    return model


def source(name: str, attack: Attack) -> nn.Module:
    """Return the network that an attack is for: an ensemble, one that it accepts, or else the usual one."""
    if name in OF_ENSEMBLES:
        return ensemble()
    refused = isinstance(attack, GradientAttack) and attack.check_source(network())
    return transformer() if refused else network()


@cache
def examples() -> Examples:
    data = FashionMnist1000()
    images = torch.from_numpy(data.load(list(IMAGES))).double()
    labels = torch.tensor([data.labels[i] for i in IMAGES])
    return Examples(images, labels, tuple(data.ids[i] for i in IMAGES))


def norm_of(name: str) -> str:
    """Return L-infinity, or L2 for an attack that refuses it."""
    attack = scene.build(name, limits("linf"), SHAPE)
    return "l2" if isinstance(attack, GradientAttack) and attack.check(SHAPE) else "linf"


def limits(norm: str) -> Budget:
    eps = 16 / 255 if norm == "linf" else 1.0
    return Budget(norm, eps, eps / 4, 3, loss="cross_entropy")  # type: ignore[arg-type]


def values_of(name: str) -> list[float]:
    """Return the cross-entropy of each image after three steps in float64, with the small options of `bench check`."""
    given, attack = examples(), scene.build(name, limits(norm_of(name)), SHAPE)
    model = source(name, attack)
    reached = scene.run(attack, model, given)[-1]
    with torch.no_grad():
        losses = LOSSES["cross_entropy"](model(reached), given.labels)
    return [round(loss, 5) for loss in losses.tolist()]


def table() -> dict[str, list[float]]:
    known: dict[str, list[float]] = json.loads(FILE.read_text())
    return known


def write(values: Mapping[str, list[float]]) -> None:
    lines = [f"  {json.dumps(name)}: {json.dumps(values[name])}" for name in sorted(values)]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main(names: list[str]) -> None:
    known = table() if FILE.exists() else {}
    chosen = names or [name for name in RECIPES if name not in known]
    write(known | {name: values_of(name) for name in chosen})


if __name__ == "__main__":
    main(sys.argv[1:])
