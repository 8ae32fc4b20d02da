"""How many sampled sets IR needs on the embedded networks: `python -m benchmarks.ir_samples`.

Runs the attacks of `transfer_table1` with 1, 2, 4, 8 and 32 sets a step, drawn independently or disjointly, in both
norms on four sources, and compares the mean transfer success on black-box targets with that of 32 independent sets,
paired by image. PGD is listed beside them. Results are kept in `--out`, so that an interrupted run continues.

The decision rule, written before the first result:

- Per image, the outcomes on all black-box targets are averaged, then the sources. The difference from 32 independent
  sets has a 95% bootstrap interval over images.
- A setting is close to 32 sets if in both norms its interval lies within 1.5 points of zero.
- The embedded profile takes the fewest samples that are close, drawn independently or disjointly.
- If both ways are close at that number, it takes disjoint sets, unless they are worse: unless the interval of disjoint
  minus independent, averaged over the norms, lies below zero. If one way is close, it takes that one.
- If no number up to 8 is close, the present 4 independent sets stay.
- Sources alone do not decide, because their intervals are about twice as wide. They are listed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from bench_core import load_suite, run
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import Selection
from bench_core.progress import for_stream
from bench_core.registry import Registry, discover
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.statistics import bootstrap
from bench_core.suite.model import Suite
from bench_core.worker.build import Builder
from bench_core.worker.loading import Loader
from benchmarks.bfloat16 import STEPS, few_steps
from benchmarks.side_by_side import in_turns, report, setting

SOURCES = ("VGG", "DenseNet-S", "ResNet-S", "ResNet-L")  # two with strength 2, and two residual ones with strength 1
NORMS = ("linf", "l2")
CLOSE = 1.5  # points
TIMED_ON, TIMED_IMAGES, TURNS = "ResNet-S", 16, 3


@dataclass(frozen=True)
class Setting:
    """A number of sets and how they are drawn."""

    samples: int
    sets: str

    @property
    def label(self) -> str:
        return f"IR {self.samples} {self.sets}"


REFERENCE = Setting(32, "independent")
COSTLIEST = Setting(32, "disjoint")
SETTINGS = [
    *(Setting(samples, "independent") for samples in (1, 2, 4, 8)),
    *(Setting(samples, "disjoint") for samples in (2, 4, 8)),  # a single set is the same in both ways
    REFERENCE,
]


def suite_of(settings: Iterable[Setting]) -> Suite:
    """Return the suite with PGD and one IR for each setting; everything else is that of `transfer_table1`."""
    suite = load_suite("transfer_table1", "embedded", (f"sources={json.dumps(SOURCES)}",))
    ir = suite.attacks["IR"]
    attacks = {
        setting.label: ir.model_copy(update={"samples": setting.samples, "sets": setting.sets}) for setting in settings
    }
    return suite.model_copy(update={"attacks": {"PGD": suite.attacks["PGD"], **attacks}, "name": "ir_samples"})


def outcomes(result: Result, attack: str, norm: str, source: str) -> NDArray[np.float64]:
    """Return the share of black-box targets that each image fools, in percent [images]."""
    wanted = {"source": source, "attack": attack, "norm": norm, "relation": "black-box"}
    found = [
        np.asarray(labelled.score.per_image)
        for labelled in result.scores
        if labelled.metric == "transfer.success" and wanted.items() <= labelled.labels.items()
    ]
    return 100 * np.mean(found, axis=0)


def over_sources(result: Result, attack: str, norm: str) -> NDArray[np.float64]:
    return np.mean([outcomes(result, attack, norm, source) for source in SOURCES], axis=0)


@dataclass(frozen=True)
class Difference:
    """The mean of differences by image, in points, with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"

    @property
    def close(self) -> bool:
        return self.low >= -CLOSE and self.high <= CLOSE


def difference(by_image: NDArray[np.float64]) -> Difference:
    return Difference(float(by_image.mean()), *bootstrap(by_image))


def from_reference(result: Result, attack: str, norm: str) -> Difference:
    return difference(over_sources(result, attack, norm) - over_sources(result, REFERENCE.label, norm))


def disjoint_minus_independent(result: Result, samples: int, norms: Iterable[str]) -> Difference:
    """Return what disjoint sets gain over as many independent ones, averaged over sources and norms."""
    ways = [Setting(samples, sets).label for sets in ("disjoint", "independent")]
    first, second = (np.mean([over_sources(result, label, norm) for norm in norms], axis=0) for label in ways)
    return difference(first - second)


def decision(result: Result) -> Setting:
    """Apply the rule above."""
    close = [
        setting
        for setting in SETTINGS
        if setting != REFERENCE and all(from_reference(result, setting.label, norm).close for norm in NORMS)
    ]
    if not close:
        return Setting(4, "independent")
    fewest = min(setting.samples for setting in close)
    ways = [setting for setting in close if setting.samples == fewest]
    if len(ways) == 1:
        return ways[0]
    worse = disjoint_minus_independent(result, fewest, NORMS).high < 0
    return Setting(fewest, "independent" if worse else "disjoint")


def success_table(result: Result, attacks: Iterable[str]) -> str:
    """Return the mean success over sources in each norm, and its difference from 32 independent sets."""
    rows = []
    for attack in attacks:
        cells = [attack]
        for norm in NORMS:
            mean = f"{over_sources(result, attack, norm).mean():.1f}%"
            cells += [mean, "" if attack == REFERENCE.label else str(from_reference(result, attack, norm))]
        rows.append(cells)
    head = ["", *(title for norm in NORMS for title in (norm, f"{norm}, difference"))]
    return tabulate(rows, head, disable_numparse=True)


def source_table(result: Result, attacks: Iterable[str]) -> str:
    """Return the difference from 32 independent sets for each norm and source."""
    rows = [
        [norm, attack]
        + [
            str(difference(outcomes(result, attack, norm, source) - outcomes(result, REFERENCE.label, norm, source)))
            for source in SOURCES
        ]
        for norm in NORMS
        for attack in attacks
        if attack != REFERENCE.label
    ]
    return tabulate(rows, ["", "", *SOURCES], disable_numparse=True)


def disjoint_table(result: Result) -> str:
    numbers = [setting.samples for setting in SETTINGS if setting.sets == "disjoint"]
    rows = [
        [str(number), *(str(disjoint_minus_independent(result, number, norms)) for norms in (["linf"], ["l2"], NORMS))]
        for number in numbers
    ]
    return tabulate(rows, ["sets a step", *NORMS, "both"], disable_numparse=True)


def time_table(suite: Suite, places: list[int], registry: Registry) -> str:
    """Return the processor time of each attack on one source, L-inf, without the evaluation on targets."""
    resolved = resolve_suite(suite, registry, device="cpu")
    assert resolved.images is not None
    builder, loader = Builder(registry), Loader(registry)
    chosen = Selection(tuple(places), tuple(resolved.images.ids[place] for place in places))
    wanted = {"source": TIMED_ON, "budget": "linf"}
    jobs = {
        planned.labels["attack"]: planned.job
        for planned in selected_jobs(resolved, chosen)
        if wanted.items() <= planned.labels.items()
    }
    seconds = in_turns({name: few_steps(builder, loader, job, "float32") for name, job in jobs.items()}, TURNS)
    times = {name: statistics.median(turns) / STEPS / len(places) for name, turns in seconds.items()}
    rows = [[name, f"{1000 * each:.3g}", f"{times[REFERENCE.label] / each:.1f}"] for name, each in times.items()]
    return tabulate(rows, ["", "ms a step and image", "times as fast as 32 independent"], disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--images-of-32-disjoint", type=int, default=100, help="the costliest setting; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=Path("results/ir_samples"))
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    registry = discover()

    def result_of(settings: list[Setting], images: int) -> Result:
        return run(
            suite_of(settings), out=given.out, images=images, workers=given.workers, device="cpu", strict=True,
            registry=registry, progress=for_stream(), warn=False,
        )  # fmt: skip

    result = result_of(SETTINGS, given.images)
    attacks, count = list(result.suite.attacks), len(result.selected)
    title = f"Mean success on black-box targets over {len(SOURCES)} sources, {count} images, paired with 32 independent"
    report(title, success_table(result, attacks))
    report("The same difference for each source", source_table(result, attacks))
    report("Disjoint minus independent sets, mean over sources", disjoint_table(result))
    chosen = decision(result)
    report(f"By the rule: samples = {chosen.samples}, sets = {chosen.sets}")
    if given.images_of_32_disjoint:
        few = result_of([*SETTINGS, COSTLIEST], given.images_of_32_disjoint)
        report(f"32 disjoint sets, {len(few.selected)} images", success_table(few, [COSTLIEST.label, REFERENCE.label]))
    places = list(result.selected[:TIMED_IMAGES])
    report(f"Processor time on {TIMED_ON}", time_table(suite_of(SETTINGS), places, registry), setting(TURNS))


if __name__ == "__main__":
    main()
