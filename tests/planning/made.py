"""Jobs written by hand, for tests of planning and dispatch."""

from bench_core.planning.jobs import AttackJob, Batch, Cell, PlannedJob
from bench_core.planning.specs import AttackSpec, DatasetSpec, Environment
from bench_core.types import Budget


def planned_attack(image: str = "a", steps: int = 1, cost: tuple[float, float] = (0, 0)) -> PlannedJob:
    """Return a job of one image, attacked by something that does not exist."""
    batch = Batch(DatasetSpec("none", {}), (0,), (image,), (0,), None)
    environment, attack = Environment("1", "cpu", "cpu", "float32", 1), AttackSpec(("a",), False, {}, "")
    budget = Budget("linf", 0.1, 0.1, steps)
    job = AttackJob(batch, {}, (), 0, environment, "", attack, budget, (), "logits", False)
    return PlannedJob(job, (Cell("attack", "attack", None),), {"attack": "A"}, cost)
