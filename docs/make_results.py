"""Run every suite on the embedded networks and write docs/results.md: tables, plots and verdicts.

    python docs/make_results.py [--out DIR] [--limit N] [--workers N] [--page FILE] [SUITE ...]

Each suite attacks as many images as `page_settings.IMAGES` states, at least its own number. The first of them are the
same, so results of `bench run` are reused. If suites are named, the sections of the others stay as they are. All
numbers and verdicts are computed: a finding shows where the 95% intervals of its differences lie on the predicted side
of zero.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from page_settings import IMAGES, NOTES, SHOWN

from bench_core import Result, load_suite, run
from bench_core.plots import write_plots
from bench_core.progress import for_stream
from bench_core.tables.formats import render
from bench_core.tables.sheet import Style
from evidence import Evidence, Finding
from findings import FINDINGS

HERE = Path(__file__).parent


HEAD = """# Results on the embedded networks

`python docs/make_results.py{arguments}` wrote this page. Every number and verdict is computed from the runs.

The embedded networks are small and their images have 28 x 28 pixels. This page shows which findings of the papers
appear at this scale. It does not show whether a paper is right about ImageNet.

Each finding predicts the sign of one or more differences. It *shows* if the 95% intervals of all differences lie on
the predicted side of zero. It *shows in part* if some do and none lies on the other side. It *does not show* if none
does. The intervals are not corrected for multiple comparisons: if twenty differences are zero, one of them is expected
to look different from zero. Differences are paired by image and use black-box targets only. Success is measured at the
step that works best on the other images (leave-one-out), unless a table says "last step".

The candidates of leave-one-out are all steps after the first update, as in the paper's text. Those of its authors' code
begin at the clean image and leave out the last step, which was worth -1.3 to +0.4 points of success here. All attacks
start at the clean image. In the authors' code PGD starts at a random point and IR does not, which was worth -3.2 to
+2.7 points. [fidelity.md](fidelity.md) lists all differences from the papers and from their authors' code.

*Secured* networks were trained to resist attacks: `-adv` adversarially, `-noise` with noise.
"""


def verdict(finding: Finding, evidence: Sequence[Evidence]) -> str:
    """Return the verdict on a finding, with the counts of intervals on either side of zero."""
    supporting = [interval for interval in evidence if interval.side == finding.side]
    opposing = [interval for interval in evidence if interval.side == -finding.side]
    count = len(evidence)
    if not evidence:
        return "no verdict: there are no intervals"
    if len(supporting) == count:
        word = "shows"
    elif supporting and not opposing:
        word = "shows in part"
    elif supporting:
        word = "shows in some cases, the opposite in others"
    elif opposing:
        word = "does not show: the opposite does" + ("" if len(opposing) == count else " in part")
    else:
        word = "does not show"
    sides = f"{len(supporting)} of {count} intervals on the predicted side of zero, {len(opposing)} on the other"
    named = f" ({', '.join(interval.label for interval in opposing)})" if opposing and len(opposing) < count else ""
    return f"**{word}**: {sides}{named}"


def question(file: Path) -> str:
    """Return the first comment of a suite file: the question that the suite answers."""
    return file.read_text().partition("\n")[0].removeprefix("#").strip()


def section(result: Result, pictures: Path) -> str:
    """Return the section of one suite and copy its plots to the folder `pictures`."""
    suite = result.suite
    lines = [f"## {suite.name}", "", f"{suite.title}. {question(Path(suite.file))}", ""]
    lines += [f"- {finding.claim}: {verdict(finding, finding.read(result))}" for finding in FINDINGS[suite.name]]
    lines += ["", NOTES[suite.name]] if suite.name in NOTES else []
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
    """Return the sections of a page by suite name."""
    text = page.read_text() if page.exists() else ""
    found = re.split(r"^## (?=\w+$)", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in found}


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
            out=given.out, images=IMAGES[name], limit=given.limit, workers=given.workers, progress=for_stream(),
        )  # fmt: skip
        write_plots(result)
        sections[name] = section(result, pictures)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    known = [sections[name] for name in FINDINGS if name in sections]
    given.page.write_text("\n".join([HEAD.format(arguments=arguments), *known]))


if __name__ == "__main__":
    main()
