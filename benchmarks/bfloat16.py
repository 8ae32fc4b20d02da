"""What `--precision bfloat16` does to speed and to outcomes: `python -m benchmarks.bfloat16`.

Gradients are taken in bfloat16, and what they find is judged in float32, as every run does.

- Outcomes: the L-inf half of `transfer_table1` on three sources, once in either precision, on the same images: the mean
  success on black-box targets, the difference paired by image, and the share of outcomes, one for each image and
  target, that flipped. An outcome is what `transfer.success` counts: an image at the step that is best for the others.
- Speed: steps of the same attacks on some of these images, the two precisions in turns, one thread, processor time.
  Judging is not in it; it costs the same in both. What is gained rests on the processor's own bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from bench_core import load_suite, run
from bench_core.planning.planner import Job, Selection
from bench_core.registry import discover
from bench_core.result import Result
from bench_core.run import make_planner
from bench_core.statistics import bootstrap
from bench_core.suite.model import Suite
from bench_core.types import Budget, Precision
from bench_core.worker.job import Worker
from bench_core.worker.streams import ImageStreams
from benchmarks.side_by_side import in_turns, quartiles, say, setting

SOURCES = ("VGG", "ResNet-S", "ResNet-L")  # a plain network and two depths of residual ones
STEPS = 5  # that are timed; each costs the same
PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")
INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # as Linux calls them, the last on ARM


def half(images: int) -> Suite:
    """Give the L-inf half of the suite, on our sources and the first of its images."""
    suite = load_suite("transfer_table1", "embedded", (f"sources={json.dumps(SOURCES)}", f"images.count={images}"))
    return suite.model_copy(update={"budgets": {"linf": suite.budgets["linf"]}})


def outcomes(result: Result, source: str, attack: str) -> NDArray[np.float64]:
    """Give what became of every image on every black-box target, 0 or 1 [images, targets]."""
    wanted = {"source": source, "attack": attack, "relation": "black-box"}
    found = [
        np.asarray(each.score.per_image)
        for each in result.scores
        if each.metric == "transfer.success" and wanted.items() <= each.labels.items()
    ]
    return np.stack(found, axis=1)


def change(results: Sequence[Result], source: str, attack: str) -> list[str]:
    long, short = (outcomes(result, source, attack) for result in results)
    by_image = 100 * (short - long).mean(axis=1)  # the images are the sample, the targets are not
    low, high = bootstrap(by_image)
    means = [f"{100 * long.mean():.1f}%", f"{100 * short.mean():.1f}%"]
    flipped = [f"{100 * np.mean(long != short):.1f}%", str(long.size)]
    return [source, attack, *means, f"{by_image.mean():+.1f} [{low:+.1f}, {high:+.1f}]", *flipped]


def some_steps(worker: Worker, job: Job, precision: Precision) -> Callable[[], None]:
    """Give a few steps of a job's attack, built as a worker builds it."""
    budget = replace(Budget(**job.spec["budget"]), steps=STEPS)
    attack, source = worker._attack(job.spec, budget), worker._source(job.spec, precision)
    examples = worker._examples(job.spec)

    def take() -> None:
        for _ in attack(source, examples, ImageStreams(0, examples.ids)):
            pass

    return take


def speed(worker: Worker, job: Job, turns: int) -> list[str]:
    seconds = in_turns({each: some_steps(worker, job, each) for each in PRECISIONS}, turns)
    low, middle, high = quartiles([long / short for long, short in zip(*seconds.values(), strict=True)])
    times = [f"{1000 * statistics.median(each) / STEPS / job.images:.4g}" for each in seconds.values()]
    return [job.labels["source"], job.labels["attack"], *times, f"{middle:.2f} [{low:.2f}, {high:.2f}]"]


def instructions() -> str:
    """Say whether the processor has instructions for bfloat16, where Linux can be asked."""
    try:
        known = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "unknown"
    return ", ".join(name for name in INSTRUCTIONS if name in known) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 40), ("turns", 3), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    suite, registry = half(given.images), discover()
    with tempfile.TemporaryDirectory() as folder:  # a store of its own: nothing is taken from an earlier run
        results = [
            run(suite, out=folder, workers=given.workers, device="cpu", precision=each, registry=registry, strict=True)
            for each in PRECISIONS
        ]
    places = results[0].selected
    assert places == results[1].selected  # the clean images are judged in float32 in both
    head = ["source", "attack", *PRECISIONS, "difference, points", "flipped", "of outcomes"]
    rows = [change(results, source, attack) for attack in suite.attacks for source in SOURCES]
    say(
        f"Mean transfer success on black-box targets, L-inf, {len(places)} images, paired; 95% bootstrap over images",
        tabulate(rows, head, disable_numparse=True),
    )
    planner, worker = make_planner(suite, registry, device="cpu"), Worker(registry)
    assert planner.images is not None
    first = places[: suite.compute.micro_batch]  # so that there is one job for each source and attack
    jobs = planner.selected_jobs(Selection(tuple(first), tuple(planner.images.ids[place] for place in first)))
    rows = [speed(worker, job, given.turns) for job in jobs if "attack" in job.labels]
    say(
        f"ms a step and image, in a batch of {len(first)}; the processor's own bfloat16: {instructions()}",
        tabulate(rows, ["source", "attack", *PRECISIONS, "float32 / bfloat16"], disable_numparse=True),
        setting(given.turns) + "; one thread",
    )


if __name__ == "__main__":
    main()
