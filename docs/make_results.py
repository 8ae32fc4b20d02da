"""Run every suite on the embedded networks and write docs/results.md: tables, plots, and what they say.

    python docs/make_results.py [--out DIR] [--limit N] [--workers N] [--page FILE] [SUITE ...]

Where suites are named, the others keep their sections on the page. No number and no verdict there is typed:
a finding of the paper is said to show where the 95% intervals of the differences that it is about lie on its side of
zero.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench_core import Result, load_suite, run
from bench_core.plots import write_plots
from bench_core.progress import for_stream
from bench_core.tables.formats import render
from bench_core.tables.sheet import Style
from evidence import Evidence, Finding
from findings import FINDINGS, SHOWN

HERE = Path(__file__).parent


HEAD = """# Results on the embedded networks

Written by `python docs/make_results.py{arguments}`; every number and every verdict comes from the runs.

Small networks on 28 x 28 images are not ImageNet's: this page says which findings of the papers show at this scale and
which do not, not whether a paper is right. A finding *shows* where the 95% interval of each difference lies on its
side of zero, *shows in part* where some do and none lies on the other side, and *does not show* where none does. Each
interval stands for itself: of twenty differences that are zero, one is expected to look like one that is not.
Differences are paired image by image, over black-box targets only; success is by the leave-one-out choice of step
unless it says last.
"""


def verdict(finding: Finding, evidence: Sequence[Evidence]) -> str:
    """Say in words what the intervals say."""
    on_its_side = [each for each in evidence if each.side == finding.side]
    against = [each for each in evidence if each.side == -finding.side]
    count = len(evidence)
    if not evidence:
        return "cannot be said: no interval came out"
    if len(on_its_side) == count:
        word = "shows"
    elif on_its_side and not against:
        word = "shows in part"
    elif on_its_side:
        word = "shows in some cases, the opposite in others"
    elif against:
        word = "does not show: the opposite does" + ("" if len(against) == count else " in part")
    else:
        word = "does not show"
    sides = f"{len(on_its_side)} of {count} intervals on its side of zero, {len(against)} on the other"
    named = f" ({', '.join(each.of for each in against)})" if against and len(against) < count else ""
    return f"**{word}**: {sides}{named}"


def question(file: Path) -> str:
    """Give the first comment of a suite: the question that it asks."""
    return file.read_text().partition("\n")[0].removeprefix("#").strip()


def section(result: Result, pictures: Path) -> str:
    """Write what one suite has to say; its plots are copied beside the page."""
    suite = result.suite
    lines = [f"## {suite.name}", "", f"{suite.title}. {question(Path(suite.file))}", ""]
    lines += [f"- {each.says}: {verdict(each, each.read(result))}" for each in FINDINGS[suite.name]]
    lines.append("")
    tables = {table.name: table for table in result.tables}
    lines += [
        re.sub("^###", "####", render(tables[name], "markdown", Style(intervals=True))) for name in SHOWN[suite.name]
    ]
    for plot in suite.plots:
        name = f"{suite.name}_{plot.name}.png"
        shutil.copyfile(result.folder / "plots" / f"{plot.name}.png", pictures / name)
        lines += [f"![{plot.title or suite.title}]({pictures.name}/{name})", ""]
    return "\n".join(lines)


def sections_of(page: Path) -> dict[str, str]:
    """Give the sections that a page has, by their suite."""
    text = page.read_text() if page.exists() else ""
    found = re.split(r"^## (?=\w+$)", text, flags=re.MULTILINE)[1:]
    return {each.partition("\n")[0]: f"## {each.rstrip()}\n" for each in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", default=list(FINDINGS), metavar="SUITE")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--page", type=Path, default=HERE / "results.md")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    pictures = given.page.parent / given.page.stem
    pictures.mkdir(parents=True, exist_ok=True)
    arguments = f" --limit {given.limit}" if given.limit else ""
    sections = sections_of(given.page)
    for name in given.suites:
        started = time.monotonic()
        result = run(
            load_suite(name, "embedded"),
            out=given.out, limit=given.limit, workers=given.workers, progress=for_stream(),
        )  # fmt: skip
        write_plots(result)
        sections[name] = section(result, pictures)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    known = [sections[name] for name in FINDINGS if name in sections]
    given.page.write_text("\n".join([HEAD.format(arguments=arguments), *known]))


if __name__ == "__main__":
    main()
