"""The results of jobs are joined by metric and labels."""

import numpy as np

from bench_core.planning.jobs import Batch, Cell, PlannedJob
from bench_core.scores.labels import Labels
from bench_core.scores.rows import gather


class Job:
    """Stands for an attack job over some images."""

    def __init__(self, name: str, *indices: int) -> None:
        ids = tuple(map(str, indices))
        self.name, self.batch = name, Batch(None, indices, ids, (0,) * len(ids), None)

    def address(self) -> str:
        return self.name


CELLS = (Cell("1", "transfer", "B"), Cell("2", "transfer", "A"))


def test_the_labels_of_an_attack_are_completed_once_for_all_its_jobs() -> None:
    asked: list[Cell] = []

    def complete(job: PlannedJob, cell: Cell) -> Labels:
        asked.append(cell)
        return Labels.of({**job.labels, "target": cell.target})

    labels = {"source": "A", "attack": "PGD", "budget": "linf"}
    others = {**labels, "attack": "MI"}
    jobs = [
        PlannedJob(Job(f"{number} {of['attack']}", 10 + number), CELLS, of)  # type: ignore[arg-type]
        for number in range(3)
        for of in (labels, others)
    ]
    computed = {
        job.address: {"2": {"row": np.array([job.job.batch.indices[0]])}, "1": {"row": np.zeros(1)}} for job in jobs
    }
    del computed["0 PGD"]["1"], computed["2 MI"]["2"]
    void = {("2 MI", "2"): "its worker died"}
    rows = gather(jobs, computed, void, complete, "selected", [10, 11, 12])
    assert len(asked) == 4
    described = [(row.labels.attack, row.labels.target, row.void) for row in rows]
    assert described == [
        ("PGD", "A", None), ("MI", "B", None), ("MI", "A", "its worker died"), ("PGD", "B", "not computed"),
    ]  # fmt: skip
    assert rows[0].arrays["row"].tolist() == [10, 11, 12]
    assert rows[0].images.indices.tolist() == [0, 1, 2]
