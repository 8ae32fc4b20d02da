"""What `--precision bfloat16` does to speed and to success rates, and why: `python -m benchmarks.bfloat16`.

Gradients are computed in bfloat16. The adversarial examples are evaluated in float32, as in every run.

- Kernels: what oneDNN reports of the gradient of 64 images: which kernels compute the convolutions, for which
  instructions, and the time of each part. What is not a convolution bounds the gain, whatever the processor.
- Speed: the gradient in several batch sizes and layouts, and steps of the attacks on the suite's images. The precisions
  take turns; one thread, processor time. The evaluation is not timed, since it costs the same in both.
- Success rates: the L-inf half of `transfer_table1` and MI with three sources, in both precisions on the same images.
  The table has the mean success rate on black-box targets, the difference paired by image, and the share of outcomes
  that differ. An outcome is one image on one target, as `transfer.success` counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate
from torch import nn

from bench_core import load_suite, run
from bench_core.executors.precision import choose, probe
from bench_core.lean import lean
from bench_core.planning.jobs import AttackJob, PlannedJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import Selection
from bench_core.registry import Registry, discover
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.statistics import bootstrap
from bench_core.suite.model import AttackEntry, Suite
from bench_core.types import Precision
from bench_core.worker.build import Builder
from bench_core.worker.loading import Loader
from bench_core.worker.precision import InBfloat16
from bench_core.worker.streams import ImageStreams
from bench_models.embedded.architectures import ARCHITECTURES
from benchmarks.batch_sizes import gradient
from benchmarks.kernels import BACKWARD, FORWARD, profile
from benchmarks.side_by_side import in_turns, quartiles, report, setting

SOURCES = ("VGG", "ResNet-S", "ResNet-L")  # a plain network and two depths of residual ones
STEPS = 5  # timed; every step costs the same
PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")
RELEVANT = 0.01  # parts below this share of the time have no ratio
BATCHES = (16, 64, 256)
LAYOUTS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}


def linf_half(images: int) -> Suite:
    """Return the L-inf half of the suite, with the sources above and its first images, and MI beside its attacks."""
    suite = load_suite("transfer_table1", "embedded", (f"sources={json.dumps(SOURCES)}", f"images.count={images}"))
    attacks = {"PGD": suite.attacks["PGD"], "MI": AttackEntry(recipe="mi"), "IR": suite.attacks["IR"]}
    return suite.model_copy(update={"budgets": {"linf": suite.budgets["linf"]}, "attacks": attacks})


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
    times = [f"{1000 * statistics.median(turn) / STEPS / planned.images:.4g}" for turn in seconds.values()]
    return [planned.labels["source"], planned.labels["attack"], *times, gain(seconds)]


def gain(seconds: Mapping[str, Sequence[float]]) -> str:
    """Return how many times as fast bfloat16 is: the median over the turns, with quartiles."""
    low, middle, high = quartiles([long / short for long, short in zip(*seconds.values(), strict=True)])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def gradients(name: str, turns: int) -> Iterator[list[str]]:
    """Yield a row for each layout and batch size: the gradient of an embedded network in both precisions."""
    for layout, form in LAYOUTS.items():
        network: nn.Module = lean(ARCHITECTURES[name]().eval().requires_grad_(False)).to(memory_format=form)
        for batch in BATCHES:
            images = torch.rand(max(BATCHES), 1, 28, 28).contiguous(memory_format=form)
            networks = dict(zip(PRECISIONS, (network, InBfloat16(network)), strict=True))
            ways = {precision: partial(gradient, each, images, batch) for precision, each in networks.items()}
            seconds = in_turns(ways, turns)
            times = [f"{1000 * min(turn) / len(images):.4g}" for turn in seconds.values()]
            yield [name, layout, str(batch), *times, gain(seconds)]


def kernels(name: str) -> str:
    """Return a table of the parts of a gradient in both precisions, the convolutions' kernels, and the largest gain."""
    profiles = {precision: profile(name, precision, 64) for precision in PRECISIONS}
    long, short = profiles.values()
    rows = []
    for part, seconds in [*long.parts().items(), ("all", long.total)]:
        other = short.parts().get(part, short.total)
        ratio = f"{seconds / other:.2f}" if min(seconds, other) > RELEVANT * short.total else ""
        rows.append([part, f"{1000 * seconds:.2f}", f"{1000 * other:.2f}", ratio])
    names = [f"{part}, {each}: {profiles[each].names(part)}" for part in (FORWARD, BACKWARD) for each in PRECISIONS]
    others = short.total - short.parts()[FORWARD] - short.parts()[BACKWARD]
    share, bound = others / short.total, long.total / others
    limit = f"{share:.0%} of bfloat16's time is no convolution: if these took no time, the ratio would be {bound:.1f}"
    table = tabulate(rows, ["part", "float32 ms", "bfloat16 ms", "ratio"], disable_numparse=True)
    return "\n".join([table, *names, limit])


def success(suite: Suite, registry: Registry, workers: int) -> Sequence[int]:
    """Run the suite in both precisions and report the success rates. Return the places of the images."""
    with tempfile.TemporaryDirectory() as folder:  # a new store, so that no result of an earlier run is used
        results = [
            run(
                suite, out=folder, workers=workers, device="cpu", precision=precision, registry=registry, strict=True
            )
            for precision in PRECISIONS
        ]  # fmt: skip
    places = results[0].selected
    assert places == results[1].selected  # clean images are classified in float32 in both
    head = ["source", "attack", *PRECISIONS, "difference, points", "flipped", "of outcomes"]
    rows = [change(results, source, attack) for attack in suite.attacks for source in SOURCES]
    samples = suite.attacks["IR"].options["samples"]
    report(
        f"Mean transfer success on black-box targets, L-inf, {len(places)} images, paired; 95% bootstrap over images",
        tabulate(rows, head, disable_numparse=True),
        f"IR with {samples} samples",
    )
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 300), ("turns", 5), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    suite, registry = linf_half(given.images), discover()
    chosen = choose("cpu", probe("cpu", 1))
    report(f"On this machine, --precision auto is {chosen.precision}: {chosen.reason}")
    for name in SOURCES:
        report(f"{name}, the parts of the gradient of 64 images, one thread", kernels(name))
    rows = [row for name in SOURCES for row in gradients(name, given.turns)]
    head = ["network", "layout", "batch", *PRECISIONS, "float32 / bfloat16"]
    report("The gradient, ms an image", tabulate(rows, head, disable_numparse=True), setting(given.turns))
    resolved = resolve_suite(suite, registry, device="cpu")
    builder, loader = Builder(registry), Loader(registry)
    assert resolved.images is not None
    count = suite.compute.micro_batch  # so that each source and attack has one job
    jobs = selected_jobs(resolved, Selection(tuple(range(count)), tuple(resolved.images.ids[:count])))
    rows = [speed(builder, loader, job, given.turns) for job in jobs if "attack" in job.labels]
    head = ["source", "attack", *PRECISIONS, "float32 / bfloat16"]
    report(f"ms a step and image of an attack, batches of {count}", tabulate(rows, head, disable_numparse=True))
    success(suite, registry, given.workers)
    print("\n" + setting(given.turns))


if __name__ == "__main__":
    main()
