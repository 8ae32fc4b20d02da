"""How long commands that need no torch take, against Python and `import torch`: `python -m benchmarks.start_up`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.side_by_side import compared, in_turns, report, setting

COMMANDS = (["--help"], ["plugins"], ["suites"], ["plan", "transfer_table1"], ["plan", "transfer_table3"])


def running(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    contestants = {f"bench {' '.join(command)}": running("-m", "bench_core.cli", *command) for command in COMMANDS}
    contestants |= {"python, nothing": running("-c", ""), "python, import torch": running("-c", "import torch")}
    seconds = in_turns(contestants, turns, time.perf_counter)
    report("Wall-clock time of a command", compared(seconds, "python, import torch"), setting(turns))


if __name__ == "__main__":
    main()
