"""The worker records whether an attack returns an image that it does not fool unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.types import AttackRecipe, Budget, Examples, Model, Streams


class Brighter:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        model(examples.images)
        yield (examples.images + self.budget.eps).clamp(max=1)


class Declaring(Brighter):
    all_or_nothing = True


class Denying(Brighter):
    all_or_nothing = False


ATTACKS = {"silent": Brighter, "declaring": Declaring, "denying": Denying}


class Plugin:
    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def build(budget: Budget, which: str) -> Brighter:
            return ATTACKS[which](budget)

        return {"brighter": AttackRecipe(build, "makes images brighter")}


@pytest.mark.parametrize("which", ATTACKS)
def test_the_row_is_there_if_the_attack_declares_it(
    which: str, registry: Registry, write_suite, tmp_path: Path
) -> None:
    registry.register(Plugin(), Origin("brighter", "tests", "1", "brighter-source"))
    suite = write_suite(('recipe = "pgd"', f'recipe = "brighter", which = "{which}"'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete, result.voids
    for source in ("A", "A+B"):
        rows = result.arrays("attack", source=source)
        assert ("all_or_nothing" in rows) == (which == "declaring")
        assert np.all(rows.get("all_or_nothing", True))
