"""How many images minimal-norm attacks fool in 100 steps, and how near: `python -m benchmarks.minimal_norms`.

Compares the defaults of FMN and Carlini-Wagner with the published settings, and with foolbox's FMN, on the first images
of the embedded VGG. docs/suites.md cites the table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench_core import load_suite, run
from bench_core.tables.formats import render

SUITE = """
title = "minimal norms"
profiles = ["embedded"]
[images]
count = 25
models = ["VGG"]
[budgets.l2]
norm = "l2"
eps = 10
step_size = 1
steps = 100
[attacks]
"FMN" = { recipe = "fmn" }
"FMN as published" = { recipe = "fmn", growing = false }
"FMN of foolbox" = { recipe = "foolbox:L2FMNAttack" }
"DDN" = { recipe = "ddn" }
"C&W" = { recipe = "carlini_wagner" }
"C&W as published" = { recipe = "carlini_wagner", searches = 9, first_weight = 0.001 }
[metrics]
distance = { recipe = "fooling_distance", norm = "l2" }
[on.embedded]
loss = "margin"
sources = ["VGG"]
targets = ["VGG"]
[[tables]]
name = "fooled"
title = "Share of images that are fooled"
rows = ["attack"]
columns = ["target"]
value = "distance.fooled"
format = "percent"
[[tables]]
name = "median"
title = "Median distance of all images"
rows = ["attack"]
columns = ["target"]
value = "distance.median"
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "minimal_norms.toml"
        path.write_text(SUITE)
        result = run(load_suite(str(path)), out=Path(folder) / "results", executor="inline")
        for table in result.tables:
            print(render(table))


if __name__ == "__main__":
    main()
