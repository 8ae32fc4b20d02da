"""A frozen value of every attack, so that no change of its results goes unnoticed.

`python -m tests.attacks.catalogue.reference_values NAME...` computes the values of these attacks and writes them to
the file of this kind of processor, one attack a line, in alphabetical order; without a name, those of all attacks that
have none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from bench_attacks.minimal_norm import MinimalNorm
from bench_attacks.plugin import RECIPES
from bench_core.logits import LOSSES
from bench_core.types import Attack, Budget, Examples
from bench_models.embedded.recipe import FashionMnist1000, build
from bench_models.ensemble import Ensemble
from bench_models.with_surrogate import WithSurrogate

from .. import scene

# On the same network, kinds of processor give other values in float64, of PGD too: one file for each known kind.
FILES = tuple(Path(__file__).with_name(name) for name in ("reference_values.json", "reference_values_intel.json"))
TOLERANCE = 1e-3  # of a loss; another order of summation may flip the sign of a pixel's gradient
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
    check = getattr(attack, "check_source", lambda _model: None)
    if not check(network()):
        return network()
    beside = WithSurrogate(network(), build("VGG").double()).eval()
    return beside if not check(beside) else transformer()


@cache
def examples() -> Examples:
    data = FashionMnist1000()
    images = torch.from_numpy(data.load(list(IMAGES))).double()
    labels = torch.tensor([data.labels[i] for i in IMAGES])
    return Examples(images, labels, tuple(data.ids[i] for i in IMAGES))


def norm_of(name: str) -> str:
    """Return the first norm that an attack accepts."""
    return next(
        norm
        for norm in scene.NORMS
        if not getattr(scene.build(name, limits(norm), SHAPE), "check", lambda _shape: None)(SHAPE)
    )


def limits(norm: str) -> Budget:
    eps = {"linf": 16 / 255, "l2": 1.0, "l1": 10.0, "l0": 20}[norm]
    return Budget(norm, eps, eps / 4, 3, loss="cross_entropy")  # type: ignore[arg-type]


def values_of(name: str) -> list[float]:
    """Return the cross-entropy of each image after three steps in float64, with the small options of `bench check`."""
    given, attack = examples(), scene.build(name, limits(norm_of(name)), SHAPE)
    if isinstance(attack, MinimalNorm):  # three steps find nothing
        attack = scene.build(name, replace(limits(norm_of(name)), eps=100.0, steps=20), SHAPE)
    model = source(name, attack)
    reached = scene.run(attack, model, given)[-1]
    with torch.no_grad():
        losses = LOSSES["cross_entropy"](model(reached), given.labels)
    return [round(loss, 5) for loss in losses.tolist()]


@cache
def plain_pgd() -> list[float]:
    """Return the values of PGD in L-inf as a few lines compute it, without the code of bench's attacks.

    They show which of `FILES` is of this kind of processor, whatever becomes of the attacks.
    """
    given, model, budget = examples(), network(), limits("linf")
    images = given.images.clone()
    for _ in range(budget.steps):
        images.requires_grad_(True)
        (gradient,) = torch.autograd.grad(LOSSES["cross_entropy"](model(images), given.labels).sum(), images)
        images = images.detach() + budget.step_size * gradient.sign()
        images = images.clamp(given.images - budget.eps, given.images + budget.eps).clamp(0, 1)
    with torch.no_grad():
        losses = LOSSES["cross_entropy"](model(images), given.labels)
    return [round(loss, 5) for loss in losses.tolist()]


def read(file: Path) -> dict[str, list[float]]:
    known: dict[str, list[float]] = json.loads(file.read_text())
    return known


@cache
def file_of_this_processor() -> Path | None:
    """Return the file whose PGD is what plain PGD gives here, or None."""
    here = plain_pgd()
    alike = (all(abs(a - b) <= TOLERANCE for a, b in zip(read(file)["pgd"], here, strict=True)) for file in FILES)
    return next((file for file, same in zip(FILES, alike, strict=True) if same), None)


def main(names: list[str]) -> None:
    file = file_of_this_processor()
    if file is None:
        raise SystemExit("no file of reference values is of this kind of processor (add one to FILES)")
    known = read(file)
    chosen = names or [name for name in RECIPES if name not in known]
    write(file, known | {name: values_of(name) for name in chosen})


def write(file: Path, values: Mapping[str, list[float]]) -> None:
    lines = [f"  {json.dumps(name)}: {json.dumps(values[name])}" for name in sorted(values)]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
