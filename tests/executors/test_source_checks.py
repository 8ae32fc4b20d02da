"""Attacks are asked about their sources before the run, each under each budget, and all rejections are reported."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench_core.errors import UsageError
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.types import AttackRecipe, Budget, Examples, Model, Rejection, Streams


@dataclass
class Picky:
    """Rejects every source, or those under large budgets only."""

    budget: Budget
    above: float

    def check_source(self, model: Model) -> Rejection | None:
        return Rejection("", f"no eps of {self.budget.eps:g}") if self.budget.eps > self.above else None

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Any]:
        yield examples.images.clone()


class Plugin:
    @hookimpl
    def bench_attacks(self) -> dict[str, AttackRecipe]:
        def picky(budget: Budget, above: float = 0.0) -> Picky:
            return Picky(budget, above)

        return {"picky": AttackRecipe(picky, "rejects sources")}


def test_every_rejection_is_reported_at_once(registry: Registry, write_suite, tmp_path: Path) -> None:
    registry.register(Plugin(), Origin("picky", "tests", "1", "picky"))
    large = '[budgets.large]\nnorm = "linf"\neps = 0.2\nstep_size = 0.1\nsteps = 1\n[attacks]'
    both = '"PGD" = { recipe = "pgd" }\none = { recipe = "picky" }\nother = { recipe = "picky", above = 0.15 }'
    suite = write_suite(("[attacks]", large), ('"PGD" = { recipe = "pgd" }', both), ('["A", ["A", "B"]]', '["A"]'))
    with pytest.raises(UsageError) as caught:
        run(suite, out=tmp_path, registry=registry, executor="inline")
    found = sorted(fault.message.rpartition("no eps of ")[2] for fault in caught.value.faults)
    assert found == ["0.1", "0.2"]
