"""Peak memory of a run against its steps and images: `python -m benchmarks.memory`.

PGD on an embedded network, in one process that plans, computes, stores and scores. The peak is the kernel's figure. The
stored outcomes grow (one boolean per image, step and target); the images of the steps do not, since they are not kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from benchmarks.host import SUITE
from benchmarks.side_by_side import report, setting

SIZES = ((5, 40), (40, 40), (5, 320), (40, 320))
CODE = """
import resource, sys
from bench_core import load_suite, run
suite = load_suite(sys.argv[1])
run(suite, out=sys.argv[2], executor="inline")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_of_a_run(steps: int, images: int) -> float:
    """Return the peak resident memory in MB."""
    text = SUITE.replace("steps = 20", f"steps = {steps}").replace("count = 100", f"count = {images}")
    text = "\n".join(line for line in text.splitlines() if not line.startswith('"IR"'))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.toml"
        path.write_text(text)
        command = [sys.executable, "-c", CODE, str(path), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    kilobytes = int(done.stdout.split()[-1])
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    peaks = {size: peak_of_a_run(*size) for size in SIZES}
    least = peaks[SIZES[0]]
    rows = [[steps, images, f"{peak:.0f}", f"{peak / least:.3f}"] for (steps, images), peak in peaks.items()]
    head = ["steps", "images", "peak, MB", "times the first"]
    report("Peak memory of a run", tabulate(rows, head, disable_numparse=True), setting(1))


if __name__ == "__main__":
    main()
