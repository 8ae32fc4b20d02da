"""What commands without much to compute take, against Python and `import torch`: `python -m benchmarks.start_up`.

Processor time is that of the user and the system together, and is the one to compare on a busy machine. `bench show`
prints a finished `transfer_table1` of random rows, as in `benchmarks.planner`. `bench run` computes the least that a
run of it can: the clean images, and one step on one image. With `--against PATH` each command also
runs the code of another checkout, in turns, with the packages that are installed here.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tabulate import tabulate

from benchmarks.checkouts import HERE, Checkout, Spent, in_turns
from benchmarks.side_by_side import quartiles, report, setting

TORCH = "python, import torch"
FINISH = "from pathlib import Path; from benchmarks.planner import finish; finish(Path('finished'))"
BENCH = ("-m", "bench_core.cli")
FIRST_RUN = """
import tempfile
from bench_core.cli import main
steps = [f"--set=budgets.{budget}.steps=1" for budget in ("linf", "l2")]
with tempfile.TemporaryDirectory() as folder:
    main(["run", "transfer_table1", "--limit=1", "--device=cpu", "--format=csv", f"--out={folder}", *steps])
"""
COMMANDS: Mapping[str, Sequence[str]] = {  # what is run in a folder with a finished transfer_table1
    "import bench_core": ("-c", "import bench_core"),
    "bench --help": (*BENCH, "--help"),
    "bench suites": (*BENCH, "suites"),
    "bench plugins": (*BENCH, "plugins"),
    "bench plan transfer_table1": (*BENCH, "plan", "transfer_table1"),
    "bench plan transfer_table3": (*BENCH, "plan", "transfer_table3"),
    "bench show transfer_table1": (*BENCH, "show", "transfer_table1", "--out", "finished"),
    "bench run, an empty store": ("-c", FIRST_RUN),
}


def commands_of(checkout: Checkout) -> dict[str, Callable[[], object]]:
    checkout.run("-c", FINISH)
    return {label: partial(checkout.run, *arguments) for label, arguments in COMMANDS.items()}


def beside_torch(spent: Mapping[str, Sequence[Spent]]) -> str:
    """Return a table of median times, and of the ratio of processor time to that of importing torch."""
    rows = []
    for label, turns in spent.items():
        ratios = [ours.processor / torch.processor for ours, torch in zip(turns, spent[TORCH], strict=True)]
        rows.append([label, *medians(turns), "" if label == TORCH else interval(ratios)])
    return table(["", "processor s", "wall s", f"times as long as {TORCH}"], rows)


def beside_other(ours: Mapping[str, Sequence[Spent]], theirs: Mapping[str, Sequence[Spent]]) -> str:
    """Return a table of the processor times of two checkouts: the median and the least of each, and their ratio."""
    rows = []
    for label, turns in ours.items():
        here, there = ([spent.processor for spent in each] for each in (turns, theirs[label]))
        ratios = [mine / other for mine, other in zip(here, there, strict=True)]
        times = [f"{pick(each):.3f}" for each in (here, there) for pick in (statistics.median, min)]
        rows.append([label, *times, interval(ratios)])
    return table(["processor s", "here", "least", "other", "least", "times as long as other"], rows)


def medians(turns: Sequence[Spent]) -> list[str]:
    return [f"{statistics.median(times):.3f}" for times in zip(*turns, strict=True)]


def interval(ratios: Sequence[float]) -> str:
    low, middle, high = quartiles(ratios)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["left", *["right"] * (len(header) - 2), "left"]
    return tabulate(rows, header, disable_numparse=True, colalign=align)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout of bench")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        here = Checkout(HERE, Path(scratch) / "here")
        ours = commands_of(here)
        if given.against is None:
            pythons = {"python, nothing": partial(here.run, "-c", ""), TORCH: partial(here.run, "-c", "import torch")}
            spent = in_turns(ours | pythons, given.turns)
            report("Time of a command", beside_torch(spent), setting(given.turns))
            return
        theirs = commands_of(Checkout(given.against, Path(scratch) / "other"))
        both = {
            (label, where): commands[label] for label in ours for where, commands in (("here", ours), ("other", theirs))
        }
        spent_by = in_turns(both, given.turns)
        mine, other = ({label: spent_by[label, where] for label in ours} for where in ("here", "other"))
        report("Time of a command, here and in the other checkout", beside_other(mine, other), setting(given.turns))


if __name__ == "__main__":
    main()
