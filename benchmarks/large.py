"""Suites of any size, made of the tests' toys: the overhead of bench depends on the counts, not on the networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry, discover
from bench_core.types import DataRecipe
from tests.toys import ToyImages, ToyPlugin


class ManyImages:
    """A plugin with the dataset `many`: `count` random images."""

    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"many": DataRecipe(many, "random images")}


def many(count: int) -> ToyImages:
    return ToyImages(count)


def toy_registry() -> Registry:
    registry = discover()
    registry.register(ToyPlugin(), Origin("toys", "tests", "1", "toys"))
    registry.register(ManyImages(), Origin("many", "tests", "1", "many"))
    return registry


def large_suite(
    folder: Path, *, sources: int, attacks: int, targets: int, images: int, micro_batch: int, steps: int = 2
) -> Path:
    """Write a suite of the given size into `folder` and return its path."""
    names = [f"N{index}" for index in range(max(sources, targets))]
    text = f"""
title = "large"
profiles = ["toy"]
sources = {names[:sources]}
targets = {names[:targets]}
data = {{ kind = "many", count = {images} }}
images = {{ count = {images}, rule = "all" }}
compute = {{ micro_batch = {micro_batch} }}
budgets.linf = {{ norm = "linf", eps = 0.1, step_size = 0.01, steps = {steps} }}
metrics = {{ transfer = {{ recipe = "transfer" }} }}
[[tables]]
name = "main"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.success"
format = "percent"
mean = true
[models]
"""
    text += "".join(f'{name} = {{ recipe = "toy", seed = {seed} }}\n' for seed, name in enumerate(names))
    text += "[attacks]\n"
    text += "".join(f'A{index} = {{ recipe = "mi", decay = {index / attacks} }}\n' for index in range(attacks))
    path = folder / "large.toml"
    path.write_text(text)
    return path
