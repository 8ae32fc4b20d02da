"""Write the site of bench's own suites: `python docs/make_project_site.py [--results DIR] [--to DIR] [--limit N]`.

It runs every embedded suite that has no run in the folder of results, writes the site over these runs as `bench site`
does, and prints its size and the largest files. The size is that of all files, uncompressed. It fails above 2 MB.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench_core import load_suite, run
from bench_core.errors import Fault, UsageError, stop_at_faults
from bench_core.planning.resolve import resolve
from bench_core.progress import for_stream
from bench_core.registry import discover
from bench_core.reports.site.build import CACHE, DIGESTS, Builder
from bench_core.reports.site.found import find_site_runs
from bench_core.reports.site.unchanged import KnownDigests
from bench_core.suite.find import own_suites

ROOT = Path(__file__).parents[1]
PROFILE, TITLE = "embedded", "bench on its embedded networks"
LARGEST = 2_000_000  # bytes
SHOWN = 10  # files


def embedded_suites() -> list[str]:
    """Return the names of bench's suites that have the profile of the embedded networks."""
    found = []
    for name in own_suites():
        try:
            load_suite(name, PROFILE)
        except UsageError:
            continue
        found.append(name)
    return found


def make_runs(suites: list[str], results: Path, limit: int | None) -> list[Path]:
    """Return a run of each suite; those that are missing are computed, if all that they need is installed."""
    missing = [name for name in suites if not (results / name / PROFILE / "run.json").is_file()]
    stop_at_faults([fault for name in missing for fault in faults_of(name)])
    folders = []
    for name in suites:
        folder = results / name / PROFILE
        if name in missing:
            print(f"running {name}", file=sys.stderr)
            folder = run(load_suite(name, PROFILE), out=results, limit=limit, progress=for_stream()).folder
        folders.append(folder)
    return folders


def faults_of(name: str) -> Sequence[Fault]:
    """Return what a suite needs that is not installed."""
    try:
        resolve(load_suite(name, PROFILE), discover())
    except UsageError as error:
        return error.faults
    return ()


def weights(site: Path) -> dict[str, int]:
    """Return the size of each file of a site in bytes, without the cache, which is not published."""
    files = [path for path in site.rglob("*") if path.is_file() and CACHE not in path.relative_to(site).parts]
    return {path.relative_to(site).as_posix(): path.stat().st_size for path in files}


def report(sizes: dict[str, int]) -> str:
    """Return the size of a site as text: in all, of each kind of page, and of the files that weigh most."""
    kinds = Counter[str]()
    for name, size in sizes.items():
        kinds[name.partition("/")[0]] += size
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:SHOWN]
    lines = [f"{sum(sizes.values()):>9,} bytes in {len(sizes)} files (at most {LARGEST:,})"]
    lines += [f"{size:>9,} {name}" for name, size in kinds.most_common()]
    return "\n".join([*lines, "the heaviest files:", *(f"{size:>9,} {name}" for name, size in heaviest)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="the folder of the runs")
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "project-site", help="the folder to write")
    parser.add_argument("--limit", type=int, help="attack at most this many images in the runs that are missing")
    given = parser.parse_args()
    try:
        folders = make_runs(embedded_suites(), given.results, given.limit)
    except UsageError as error:
        raise SystemExit(str(error)) from None
    known = KnownDigests(given.to / CACHE / DIGESTS)
    found = find_site_runs([f"{folder.parent.name}/{folder.name}={folder}" for folder in folders], known)
    Builder(given.to, TITLE).build(found)
    known.save()
    sizes = weights(given.to)
    print(report(sizes))
    if sum(sizes.values()) > LARGEST:
        raise SystemExit("the site is too large")


if __name__ == "__main__":
    main()
