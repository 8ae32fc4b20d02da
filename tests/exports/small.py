"""A dataset of 8-bit images and small networks, for tests that export and judge images of every attack."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from bench_core.executors.inline import Inline
from bench_core.exports.export import Exported, export
from bench_core.exports.groups import Request
from bench_core.hookspecs import hookimpl
from bench_core.progress import Silent
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.run_suite import run
from bench_core.runs.judged import Origin, judged_suite
from bench_core.suite.load import load_suite
from bench_core.testing.transformer import transformer
from bench_core.types import DataRecipe, ModelRecipe
from tests.attacks.scene import network

COUNT = 6


class EightBit:
    """Random images of 8 bits that one of the networks classifies correctly."""

    def __init__(self, channels: int = 1, names: bool = False, off: bool = False) -> None:
        import torch

        self.shape = (channels, 6, 6)
        levels = np.random.default_rng(0).integers(0, 256, (COUNT, *self.shape))
        levels[0], levels[1] = 0, 255
        self.pixels = (levels / 255).astype(np.float32) + np.float32(0.001 if off else 0) * (levels < 200)
        self.pixels = self.pixels.astype(np.float32)
        self.labels: Sequence[int] = network(channels)(torch.from_numpy(self.pixels).double()).argmax(1).tolist()
        self.ids: Sequence[str] = [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels]
        if names:
            self.names = [f"val_{place:04d}" for place in range(COUNT)]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pixels[list(indices)]


class Plugin:
    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"eight_bit": DataRecipe(EightBit, "images of 8 bits")}

    @hookimpl
    def bench_models(self) -> Mapping[str, ModelRecipe]:
        def residual(seed: int = 0, channels: int = 1) -> nn.Module:
            return network(channels, seed).float()

        def attention(seed: int = 0) -> nn.Module:
            return transformer(1, seed).float()

        return {
            "residual": ModelRecipe(residual, lambda seed, channels: {"seed": seed, "channels": channels}, "a network"),
            "attention": ModelRecipe(attention, lambda seed: {"seed": seed}, "a transformer"),
        }


SUITE = """
title = "small"
profiles = ["none"]
quantise = true
[data]
kind = "eight_bit"
{data}
[images]
count = 6
rule = "all"
[compute]
micro_batch = 4
[models]
"A" = {{ recipe = "residual"{model} }}
"B" = {{ recipe = "residual", seed = 1{model} }}
"T" = {{ recipe = "attention" }}
"S" = {{ recipe = "with_surrogate", base = "A", surrogate = "B" }}
[metrics]
transfer = {{ recipe = "transfer" }}
predictions = {{ recipe = "predictions" }}
[on.none]
sources = ["{source}"]
targets = ["A", "B"]
[[tables]]
name = "main"
rows = ["source", "attack", "budget"]
columns = ["target"]
value = "transfer.last"
best = "max"
{more}
"""
LINF = '[budgets.linf]\nnorm = "linf"\neps = "16/255"\nstep_size = "5/255"\nsteps = 3\n'
L2 = '[budgets.l2]\nnorm = "l2"\neps = 0.5\nstep_size = 0.2\nsteps = 3\n'
PGD = '[attacks]\n"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }\n'


def write_suite(
    folder: Path, more: str = LINF + PGD, source: str = "A", data: str = "", model: str = "", change: Any = None
) -> str:
    """Write the suite of the small networks and return its path."""
    text = SUITE.format(more=more, source=source, data=data, model=model)
    path = folder / "small.toml"
    path.write_text(text if change is None else change(text))
    return str(path)


def run_small(path: str, registry: Registry, out: Path, **options: Any) -> Result:
    return run(load_suite(path), out=out, registry=registry, executor="inline", **options)


def export_small(folder: Path, to: Path, registry: Registry, request: Request | None = None) -> Exported:
    return export(folder, to, request or Request(), registry, Inline(registry), Silent())


def judge_small(
    path: str, root: Path, registry: Registry, out: Path, origin: Origin | None = None, **more: Any
) -> Result:
    judged = judged_suite(load_suite(path), root, origin or Origin(), registry)
    return run(judged, out=out, registry=registry, executor="inline", **more)
