"""Run the benchmarks and write `docs/performance.md`: `python -m benchmarks [NAME ...]`.

The output of each script is kept under `results/benchmarks/`. A script with kept output runs again only if it is named,
or with `--again`. Needs an idle machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
KEPT = ROOT / "results" / "benchmarks"
SCRIPTS = {
    "peak": "The machine's limit",
    "libraries": "PGD and MI against torchattacks and foolbox",
    "attack_speed": "Attacks against the official algorithm, and the share of the machine's limit",
    "lean": "What each step of making a network lean saves",
    "bfloat16": "What bfloat16 does to speed and to outcomes",
    "batch_sizes": "The best batch size",
    "compiled": "Whether torch.compile pays",
    "orders": "Interactions of every order against the design of 200 pairs and 100 contexts",
    "table1": "The main job against the machine's limit",
    "host": "The host against a bare loop",
    "planner": "The planner, and a finished suite",
    "store": "The store",
    "start_up": "Start-up",
    "memory": "Memory",
    "workers": "Scaling over workers",
}
NOT_ON_A_GPU = """\
Everything here was measured on a CPU. Nothing was run on a GPU. On a GPU the same code moves networks and images to the
device, gives each worker one GPU (or a fraction of one, with Ray), computes gradients under autocast with
`--precision bfloat16`, halves batches that do not fit into memory, and keeps TF32 off. Tests exercise these paths on
the CPU with stand-ins for the missing device; tests that need a GPU run only where there is one. No claim is made about
the speed on a GPU."""


def run(name: str) -> str:
    """Run one script and return its output. Raises SystemExit if it fails."""
    start = time.monotonic()
    print(f"{name} ...", end=" ", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=False
    )
    print(f"{time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        sys.exit(f"benchmarks: {name} failed (exit code {done.returncode})")
    return done.stdout.strip("\n")


def page(found: dict[str, str]) -> str:
    parts = [
        "# Performance",
        "",
        "Written by `python -m benchmarks`. A ratio is the median over turns, [quartiles].",
        "",
    ]
    parts += [NOT_ON_A_GPU, ""]
    for name, output in found.items():
        parts += [f"## {SCRIPTS[name]}", "", f"`python -m benchmarks.{name}`", "", "```text", output, "```", ""]
    return "\n".join(line.rstrip() for line in "\n".join(parts).splitlines()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"scripts to run: {', '.join(SCRIPTS)} (default: those without kept output)",
    )
    parser.add_argument("--again", action="store_true", help="run all scripts again")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in SCRIPTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)} (known: {', '.join(SCRIPTS)})")
    KEPT.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in SCRIPTS:
        kept = KEPT / f"{name}.txt"
        if not (ROOT / "benchmarks" / f"{name}.py").is_file():
            print(f"{name}: no such script")
            continue
        if given.again or name in given.names or (not given.names and not kept.is_file()):
            kept.write_text(run(name) + "\n", encoding="utf-8")
        if kept.is_file():
            found[name] = kept.read_text(encoding="utf-8").strip("\n")
            PAGE.write_text(page(found), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(found)} of {len(SCRIPTS)} scripts")


if __name__ == "__main__":
    main()
