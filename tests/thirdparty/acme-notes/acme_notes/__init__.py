"""Publishes runs as a file of notes, a line for each value of the tables."""

from pathlib import Path

from bench_core.errors import Fault, UsageError
from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe, interval_text, points

BENCH_API_VERSION = 1


class Notes:
    def __init__(self, file):
        self.file = Path(file)

    def publish(self, run):
        if self.file.is_dir():
            raise UsageError(Fault("--set", "file", f"{self.file} is a folder"))
        lines = [f"{run.name} {run.profile}, {run.images} images"]
        for point in points(run.tables):
            cell = point.cell
            value = interval_text(cell.value, cell.low, cell.high, point.percent)
            lines.append(f"{point.name}: {value}, N = {cell.n}")
        self.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(self.file)


def notes(file: str = "notes.txt") -> Notes:
    return Notes(file)


@hookimpl
def bench_publishers():
    return {"acme_notes": PublisherRecipe(notes, "A file of notes.")}
