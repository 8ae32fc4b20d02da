"""Run the fault experiments and print how many trials were survived: `python -m tests.faults --full --seed N`.

A second run continues where the first stopped. `--write FILE` writes the table into a page, between its two marks
as in docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from .experiments import ALL, Experiment
from .world import World

SLICE = 25
MARKS = ("<!-- faults: begin -->", "<!-- faults: end -->")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"all trials of each experiment, not {SLICE}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[experiment.name for experiment in ALL], action="append")
    parser.add_argument("--state", type=Path, help="file of the finished trials, from which a second run continues")
    parser.add_argument("--write", type=Path, help="the page to write the table into")
    given = parser.parse_args()
    torch.set_num_threads(1)
    state = given.state or Path(tempfile.gettempdir()) / f"bench-faults-{given.seed}.jsonl"
    done = [json.loads(line) for line in state.read_text().splitlines()] if state.exists() else []
    results: dict[str, dict[int, str | None]] = {experiment.name: {} for experiment in ALL}
    for trial in done:
        results[trial["experiment"]][trial["trial"]] = trial["wrong"]
    chosen = [experiment for experiment in ALL if not given.only or experiment.name in given.only]
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as folder:
        for experiment in chosen:
            home = Path(folder) / experiment.name
            perform(experiment, World(home), given.full, given.seed, results[experiment.name], state)
            shutil.rmtree(home)
    page = table(chosen, results, given.seed)
    print(page)
    if given.write:
        before, _, after = given.write.read_text().partition(MARKS[0])
        rest = after.partition(MARKS[1])[2]
        given.write.write_text(f"{before}{MARKS[0]}\n{page}\n{MARKS[1]}{rest}")
    return int(any(wrong for experiment in chosen for wrong in results[experiment.name].values()))


def perform(
    experiment: Experiment, world: World, full: bool, seed: int, results: dict[int, str | None], state: Path
) -> None:
    """Run the trials that are not finished, and record each at once."""
    volume = experiment.volume(world)
    numbers = range(volume) if full else sorted({i * volume // SLICE for i in range(SLICE)})
    start = time.monotonic()
    with state.open("a") as notes:
        for number in numbers:
            if number in results:
                continue
            results[number] = wrong = experiment.once(world, number, seed)
            notes.write(json.dumps({"experiment": experiment.name, "trial": number, "wrong": wrong}) + "\n")
            notes.flush()
            if wrong:
                print(f"{experiment.name} {number}: {wrong}", file=sys.stderr, flush=True)
            for left in world.folder.glob("out*"):
                if left != world.reference:
                    shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    print(f"{experiment.name}: {len(results)} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def table(experiments: list[Experiment], results: dict[str, dict[int, str | None]], seed: int) -> str:
    rows = ["| fault | tried | survived |", "| --- | ---: | ---: |"]
    for experiment in experiments:
        found = results[experiment.name].values()
        rows.append(f"| {experiment.what} | {len(found)} | {sum(wrong is None for wrong in found)} |")
    setting = f"Seed {seed}, Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}."
    return "\n".join(["", *rows, "", setting, ""])


if __name__ == "__main__":
    sys.exit(main())
