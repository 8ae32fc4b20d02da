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
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported: spinning threads ruin a shared machine

from bench_core import load_suite, run
from bench_core.progress import for_stream
from bench_core.result import Result
from bench_core.suite.model import Suite

SOURCES = ("VGG", "DenseNet-S", "ResNet-S", "ResNet-L")  # two with strength 2, and two residual ones with strength 1


@dataclass(frozen=True)
class Setting:
    """A number of sets and how they are drawn."""

    samples: int
    sets: str

    @property
    def label(self) -> str:
        return f"IR {self.samples} {self.sets}"


SETTINGS = [
    *(Setting(samples, "independent") for samples in (32, 8, 4, 2, 1)),
    *(Setting(samples, "disjoint") for samples in (8, 4, 2, 32)),  # a single set is the same in both ways
]


def suite_of(settings: list[Setting]) -> Suite:
    """Return the suite with PGD and one IR for each setting; everything else is that of `transfer_table1`."""
    suite = load_suite("transfer_table1", "embedded", (f"sources={json.dumps(SOURCES)}",))
    ir = suite.attacks["IR"]
    attacks = {
        setting.label: ir.model_copy(update={"samples": setting.samples, "sets": setting.sets}) for setting in settings
    }
    return suite.model_copy(update={"attacks": {"PGD": suite.attacks["PGD"], **attacks}, "name": "ir_samples"})


def results(settings: list[Setting], images: int, out: Path, workers: int | None) -> Result:
    return run(
        suite_of(settings), out=out, images=images, workers=workers, device="cpu", strict=True,
        progress=for_stream(), warn=False,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--images-of-32-disjoint", type=int, default=100, help="the costliest setting, on fewer images")
    parser.add_argument("--out", type=Path, default=Path("results/ir_samples"))
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    results([setting for setting in SETTINGS if setting != SETTINGS[-1]], given.images, given.out, given.workers)
    results(SETTINGS, given.images_of_32_disjoint, given.out, given.workers)


if __name__ == "__main__":
    main()
