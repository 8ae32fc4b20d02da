"""What planning, checking, storing and scoring add to the computation itself: `python -m benchmarks.host`.

Compares two ways to run PGD and IR on an embedded network, with three targets at every step: bench in this process, and
a bare loop that builds the same networks and attacks and computes the same rows, but checks, counts, stores and
summarises nothing. The last row is bench with its checks of networks and attacks switched off: what planning, storing
and scoring cost alone. With `--checks`, each kind of check is switched off in turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from bench_core import load_suite, run
from bench_core.planning.jobs import AttackJob
from bench_core.planning.planner import clean_jobs, selected_jobs
from bench_core.planning.resolve import ResolvedSuite
from bench_core.planning.selection import Selection
from bench_core.registry import Registry, discover
from bench_core.reserved import PREDICTED
from bench_core.run_suite import resolve_suite
from bench_core.types import Step
from bench_core.worker.build import Builder
from bench_core.worker.diagnostics import examine
from bench_core.worker.loading import Loader
from bench_core.worker.streams import ImageStreams
from benchmarks.side_by_side import compared, in_turns, report, setting
from benchmarks.unchecked import CHECKS, unchecked

SUITE = """
title = "host"
profiles = ["embedded"]
[images]
count = 100
models = ["ResNet-S"]
[budgets.linf]
norm = "linf"
eps = "16/255"
step_size = "2/255"
steps = 20
[attacks]
"PGD" = { recipe = "pgd" }
"IR" = { recipe = "ir", grid = 14, samples = 4, cells = 24 }
[metrics]
transfer = { recipe = "transfer" }
[on.embedded]
loss = "margin"
sources = ["ResNet-S"]
targets = ["VGG", "ResNet-L", "DenseNet-S"]
[[tables]]
name = "main"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.success"
format = "percent"
mean = true
baseline = { attack = "PGD" }
"""


def bare(resolved: ResolvedSuite, selection: Selection, registry: Registry, device: str = "cpu") -> None:
    """Compute the rows of all cells without checks, pass counts, a store or scores."""
    builder, loader = Builder(registry), Loader(registry)
    for planned in clean_jobs(resolved):
        job = planned.job
        with torch.no_grad():
            examples = loader.examples(job.batch, device)
            for observed in job.observe:
                network = builder.model(job.models[observed.target or ""], device)
                if observed.metric.recipe == PREDICTED:
                    network(examples.images).argmax(1).cpu().numpy()
                else:
                    examine(network, examples)
    for planned in selected_jobs(resolved, selection):
        job = planned.job
        assert isinstance(job, AttackJob)
        examples = loader.examples(job.batch, device)
        attack, source = builder.attack(job.attack, job.budget), builder.source(job, "float32")
        observers = [
            (builder.metric(observed.metric), builder.model(job.models[observed.target or ""], device))
            for observed in job.observe
        ]
        for index, images in enumerate(attack(source, examples, ImageStreams(0, examples.ids)), 1):
            with torch.no_grad():
                step = Step(index, images)
                for metric, target in observers:
                    metric.observe(step=step, clean=examples, target=target)["fooled"].cpu().numpy()


def contestants_on(folder: Path, device: str, images: int = 100) -> dict[str, Callable[[], object]]:
    """Return the bare loop and bench, which compute the same cells; bench does so from an empty store each time.

    Args:
        folder: A folder for the suite and the results.
        device: The device to compute on.
        images: The number of images.
    """
    path, registry = folder / "host.toml", discover()
    path.write_text(SUITE.replace("count = 100", f"count = {images}"))
    suite = load_suite(str(path))
    resolved = resolve_suite(suite, registry, device=device)
    result = run(suite, out=folder / "first", registry=registry, executor="inline", device=device)
    ids = resolved.images.ids if resolved.images else ()
    selection = Selection(tuple(result.selected), tuple(ids[place] for place in result.selected))

    def by_bench() -> None:
        shutil.rmtree(folder / "again", ignore_errors=True)
        run(suite, out=folder / "again", registry=registry, executor="inline", device=device)

    return {"bare loop": lambda: bare(resolved, selection, registry, device), "bench": by_bench}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--checks", action="store_true", help="also switch off one kind of check at a time")
    given = parser.parse_args()
    turns = given.turns
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        contestants = contestants_on(Path(folder), "cpu")
        checked = contestants["bench"]
        if given.checks:
            contestants |= {f"without {name}": unchecked(checked, name) for name in CHECKS}
        contestants["bench, without checks"] = unchecked(checked, *CHECKS)
        seconds = in_turns(contestants, turns, warm=True)
    report("The same cells, processor time", compared(seconds, "bare loop"), setting(turns) + "; one thread")


if __name__ == "__main__":
    main()
