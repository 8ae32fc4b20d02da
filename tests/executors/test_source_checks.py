"""Attacks are asked about their sources before the run, each under each budget, and all rejections are reported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench_core.errors import UsageError
from bench_core.executors import Executor, Outcome, Task
from bench_core.executors.inline import Inline
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.types import AttackRecipe, Budget, Examples, ExecutorRecipe, Model, Rejection, Streams


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


@dataclass
class Recording:
    """The executor `recording`, which computes in this process. It notes the kind of each job and its networks."""

    inner: Executor
    kinds: list[str] = field(default_factory=list)
    networks: set[str] = field(default_factory=set)

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        return self.inner.run(self._noted(tasks))

    def _noted(self, tasks: Sequence[Task]) -> list[Task]:
        noted = list(tasks)
        for task in noted:
            self.kinds.append(task.spec["kind"])
            self.networks |= {*task.spec["models"]}
        return noted


@pytest.fixture
def recording(registry: Registry) -> Recording:
    """The executor `recording`, registered with an attack that may reject its source."""
    executor = Recording(Inline(registry))

    class Executors:
        @hookimpl
        def bench_executors(self) -> dict[str, ExecutorRecipe]:
            return {"recording": ExecutorRecipe(lambda workers, registry: executor, "notes jobs")}  # noqa: ARG005

    registry.register(Plugin(), Origin("picky", "tests", "1", "picky"))
    registry.register(Executors(), Origin("recording", "tests", "1", "recording"))
    return executor


def test_a_rejected_source_is_reported_before_any_image_is_classified(
    recording: Recording, registry: Registry, write_suite, tmp_path: Path
) -> None:
    picky = '"PGD" = { recipe = "pgd" }\none = { recipe = "picky" }'
    suite = write_suite(('"PGD" = { recipe = "pgd" }', picky), ('["A", ["A", "B"]]', '["A"]'))
    with pytest.raises(UsageError, match=r"source A: picky: no eps of 0\.1"):
        run(suite, out=tmp_path / "out", registry=registry, executor="recording")
    assert recording.kinds == ["source_check"]
    assert recording.networks == {"A"}, "the target B is not needed to find the mistake"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_an_accepted_source_is_asked_once_and_not_again_when_all_is_stored(
    recording: Recording, registry: Registry, write_suite, tmp_path: Path
) -> None:
    picky = '"PGD" = { recipe = "pgd" }\none = { recipe = "picky", above = 1.0 }'
    suite = write_suite(('"PGD" = { recipe = "pgd" }', picky))
    run(suite, out=tmp_path, registry=registry, executor="recording")
    assert recording.kinds.count("source_check") == 2, "of A, and of A and B together"
    assert recording.kinds[:2] == ["source_check"] * 2
    recording.kinds.clear()
    run(suite, out=tmp_path, registry=registry, executor="recording")
    assert recording.kinds == []
