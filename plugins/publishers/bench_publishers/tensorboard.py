"""TensorBoard: scalars at the number of images, and the tables with intervals as text."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench_core.files import safe_name
from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe, RunView, points, text_table

BENCH_API_VERSION = 1

if importlib.util.find_spec("tensorboard") is None:
    raise ImportError('tensorboard is not installed (try pip install "adversarial-bench[tensorboard]")')


@dataclass(frozen=True)
class TensorBoard:
    """Writes an event file."""

    to: str

    def publish(self, run: RunView) -> str:
        """Write a run; see `bench_core.publishing.Publisher`."""
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(self.to) / safe_name(run.name) / safe_name(run.profile)
        with SummaryWriter(str(folder)) as writer:
            for name, value in scalars(run).items():
                writer.add_scalar(name, value, run.images)
            for table in run.tables:
                writer.add_text(f"tables/{table.name}", text_table(table), run.images)
            writer.add_text("run/reproduce", f"    {run.facts['reproduce']}", run.images)
            for kind in ("warnings", "notes"):
                lines = [f"    {line}" for line in run.facts[kind]]  # indented: as code, which has no markup
                writer.add_text(f"run/{kind}", "\n".join(lines) or "none", run.images)
        return f"TensorBoard: {folder} (tensorboard --logdir {self.to})"


def scalars(run: RunView) -> dict[str, float]:
    """Return every value of the tables, and beside it the ends of its interval and its number of images."""
    found: dict[str, float] = {}
    for point in points(run.tables):
        cell = point.cell
        ends = {} if math.isnan(cell.low) else {"low": cell.low, "high": cell.high}
        numbers = {"value": cell.value, **ends, "n": cell.n}
        found |= {f"{point.name}/{key}": number for key, number in numbers.items()}
    return found


def tensorboard(to: str = "tensorboard") -> TensorBoard:
    """Write a run as TensorBoard's event files.

    Args:
        to: The log folder. The run is in `SUITE/PROFILE` below it.
    """
    return TensorBoard(to)


@hookimpl
def bench_publishers() -> Mapping[str, PublisherRecipe]:
    summary = "TensorBoard: scalars with intervals, and the tables as text."
    return {"tensorboard": PublisherRecipe(tensorboard, summary)}
