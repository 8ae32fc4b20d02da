"""Runs commands of this checkout of bench, or of another one, with the packages that are installed here."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

Label = TypeVar("Label")
HERE = Path(__file__).parents[1]
PACKAGES = ("", "plugins/attacks", "plugins/metrics", "plugins/models")
WHERE = "import bench_core, bench_attacks, bench_metrics, bench_models as m; print(bench_core.__file__, m.__file__)"


class Spent(NamedTuple):
    """The time of one command in seconds: of the processor, user and system together, and of the clock on the wall."""

    processor: float
    wall: float


class Checkout:
    """A checkout of bench, and how to run its code.

    Its plugins are found by its own entry points: `scratch` receives the metadata of a distribution that stands in
    front of the installed one.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.scratch = root.resolve(), scratch.resolve()
        project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        version = project.get("version", "0")  # else it comes from the tags
        metadata = self.scratch / f"{project['name'].replace('-', '_')}-{version}.dist-info"
        metadata.mkdir(parents=True)
        about = [f"Name: {project['name']}", f"Version: {version}"]
        about += [f"Requires-Dist: {needed}" for needed in project["dependencies"]]
        (metadata / "METADATA").write_text("\n".join(["Metadata-Version: 2.3", *about]) + "\n", encoding="utf-8")
        points = [f"{name} = {module}" for name, module in project["entry-points"]["bench"].items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[bench]", *points]) + "\n", encoding="utf-8")
        found = self.run("-c", WHERE).split()
        if not all(Path(file).is_relative_to(self.root) for file in found):
            raise SystemExit(f"{self.root} is not a checkout of bench: Python imports {', '.join(found)}")

    def run(self, *arguments: str) -> str:
        """Run Python with this checkout's packages in the scratch folder; return what it prints."""
        paths = [str(self.scratch), *(str(self.root / package) for package in PACKAGES)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is not compiled at every start
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.scratch,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout


def in_turns(commands: Mapping[Label, Callable[[], object]], turns: int) -> dict[Label, list[Spent]]:
    """Run every command once per turn, after a first turn that is not counted; return what each turn spent."""
    spent: dict[Label, list[Spent]] = {label: [] for label in commands}
    for turn in range(turns + 1):
        for label, command in commands.items():
            before = spent_so_far()
            command()
            after = spent_so_far()
            if turn:
                spent[label].append(Spent(after.processor - before.processor, after.wall - before.wall))
    return spent


def spent_so_far() -> Spent:
    """Return the processor time of all child processes that have ended, and the time of a clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(used.ru_utime + used.ru_stime, time.perf_counter())
