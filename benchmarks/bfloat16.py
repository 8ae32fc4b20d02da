"""What `--precision bfloat16` does to speed and to success rates: `python -m benchmarks.bfloat16`.

Gradients are computed in bfloat16. The adversarial examples are evaluated in float32, as in every run.

- Success rates: the L-inf half of `transfer_table1` with three sources, in both precisions on the same images. The
  table has the mean success rate on black-box targets, the difference paired by image, and the share of outcomes that
  differ. An outcome is one image on one target, as `transfer.success` counts it.
- Speed: steps of the same attacks on some of these images. The precisions take turns; one thread, processor time. The
  evaluation is not timed, since it costs the same in both. The gain depends on the processor's bfloat16 instructions.
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
from bench_core.planning.jobs import AttackJob, PlannedJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import Selection
from bench_core.registry import discover
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.statistics import bootstrap
from bench_core.suite.model import Suite
from bench_core.types import Precision
from bench_core.worker.build import Builder
from bench_core.worker.loading import Loader
from bench_core.worker.streams import ImageStreams
from benchmarks.side_by_side import in_turns, quartiles, report, setting

SOURCES = ("VGG", "ResNet-S", "ResNet-L")  # a plain network and two depths of residual ones
STEPS = 5  # timed; every step costs the same
PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")
INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # names in /proc/cpuinfo; the last is of ARM


def linf_half(images: int) -> Suite:
    """Return the L-inf half of the suite, with the sources above and its first images."""
    suite = load_suite("transfer_table1", "embedded", (f"sources={json.dumps(SOURCES)}", f"images.count={images}"))
    return suite.model_copy(update={"budgets": {"linf": suite.budgets["linf"]}})


def outcomes(result: Result, source: str, attack: str) -> NDArray[np.float64]:
    """Return the success, 0 or 1 [images, targets], of every image on every black-box target."""
    wanted = {"source": source, "attack": attack, "relation": "black-box"}
    found = [
        np.asarray(labelled.score.per_image)
        for labelled in result.scores
        if labelled.metric == "transfer.success" and wanted.items() <= labelled.labels.items()
    ]
    return np.stack(found, axis=1)


def change(results: Sequence[Result], source: str, attack: str) -> list[str]:
    """Return a row that compares the success rates of two results, float32 and bfloat16."""
    long, short = (outcomes(result, source, attack) for result in results)
    by_image = 100 * (short - long).mean(axis=1)  # only the images are a sample; the targets are fixed
    low, high = bootstrap(by_image)
    means = [f"{100 * long.mean():.1f}%", f"{100 * short.mean():.1f}%"]
    flipped = [f"{100 * np.mean(long != short):.1f}%", str(long.size)]
    return [source, attack, *means, f"{by_image.mean():+.1f} [{low:+.1f}, {high:+.1f}]", *flipped]


def few_steps(builder: Builder, loader: Loader, job: AttackJob, precision: Precision) -> Callable[[], None]:
    """Return a function that runs a few steps of a job's attack, built as a worker builds it."""
    budget = replace(job.budget, steps=STEPS)
    attack, source = builder.attack(job.attack, budget), builder.source(job, precision)
    examples = loader.examples(job.batch, "cpu")

    def take() -> None:
        for _ in attack(source, examples, ImageStreams(0, examples.ids)):
            pass

    return take


def speed(builder: Builder, loader: Loader, planned: PlannedJob, turns: int) -> list[str]:
    job = planned.job
    assert isinstance(job, AttackJob)
    seconds = in_turns({precision: few_steps(builder, loader, job, precision) for precision in PRECISIONS}, turns)
    low, middle, high = quartiles([long / short for long, short in zip(*seconds.values(), strict=True)])
    times = [f"{1000 * statistics.median(turn) / STEPS / planned.images:.4g}" for turn in seconds.values()]
    return [planned.labels["source"], planned.labels["attack"], *times, f"{middle:.2f} [{low:.2f}, {high:.2f}]"]


def instructions() -> str:
    """Return the processor's bfloat16 instructions, from /proc/cpuinfo."""
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
    suite, registry = linf_half(given.images), discover()
    with tempfile.TemporaryDirectory() as folder:  # a new store, so that no result of an earlier run is used
        results = [
            run(
                suite,
                out=folder,
                workers=given.workers,
                device="cpu",
                precision=precision,
                registry=registry,
                strict=True,
            )
            for precision in PRECISIONS
        ]
    places = results[0].selected
    assert places == results[1].selected  # clean images are classified in float32 in both
    head = ["source", "attack", *PRECISIONS, "difference, points", "flipped", "of outcomes"]
    rows = [change(results, source, attack) for attack in suite.attacks for source in SOURCES]
    report(
        f"Mean transfer success on black-box targets, L-inf, {len(places)} images, paired; 95% bootstrap over images",
        tabulate(rows, head, disable_numparse=True),
    )
    resolved = resolve_suite(suite, registry, device="cpu")
    builder, loader = Builder(registry), Loader(registry)
    assert resolved.images is not None
    first = places[: suite.compute.micro_batch]  # so that each source and attack has one job
    jobs = selected_jobs(resolved, Selection(tuple(first), tuple(resolved.images.ids[place] for place in first)))
    rows = [speed(builder, loader, job, given.turns) for job in jobs if "attack" in job.labels]
    report(
        f"ms per step and image, batches of {len(first)}; bfloat16 instructions of the processor: {instructions()}",
        tabulate(rows, ["source", "attack", *PRECISIONS, "float32 / bfloat16"], disable_numparse=True),
        setting(given.turns) + "; one thread",
    )


if __name__ == "__main__":
    main()
