"""Run every suite on the embedded networks and write docs/results.md: tables, plots, and what they say.

    python docs/make_results.py [--out DIR] [--limit N] [--workers N] [--page FILE] [SUITE ...]

No number and no verdict on that page is typed: a finding of the paper is said to show where the 95% intervals of the
differences that it is about lie on its side of zero.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_core import Result, load_suite, run
from bench_core.plots import write_plots
from bench_core.progress import for_stream
from bench_core.render import markdown
from bench_core.statistics import bootstrap
from bench_core.tables import Table

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Evidence:
    """One interval of something that is zero where the finding does not hold."""

    of: str
    low: float
    high: float

    @property
    def side(self) -> int:
        """1 above zero, -1 below, 0 where the interval holds zero."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Finding:
    """What the paper says, on which side of zero that is, and how to read the evidence off a result."""

    says: str
    side: int
    read: Callable[[Result], list[Evidence]]


def differences(table: str, attacks: Iterable[str] | None = None, **labels: str) -> Callable[[Result], list[Evidence]]:
    """Read a table's differences from its baseline, of some attacks, or of all that are not a derived row."""

    def read(result: Result) -> list[Evidence]:
        found = table_of(result, table)
        wanted = set(attacks or result.suite.attacks)
        evidence = []
        for key, cells in found.rows:
            row = dict(zip(found.header, key, strict=False))
            fits = row.get("attack") in wanted and all(row.get(k) == v for k, v in labels.items())
            if fits and not np.isnan(cells[-1].low):
                evidence.append(Evidence(" ".join(key), cells[-1].low, cells[-1].high))
        return evidence

    return read


def every_cell(table: str) -> Callable[[Result], list[Evidence]]:
    """Read all intervals of a table."""

    def read(result: Result) -> list[Evidence]:
        found = table_of(result, table)
        columns = found.header[found.dimensions :]
        return [
            Evidence(f"{' '.join(key)} to {column}", cell.low, cell.high)
            for key, cells in found.rows
            for column, cell in zip(columns, cells, strict=True)
            if not np.isnan(cell.low)
        ]

    return read


def best_step_against_last(attack: str) -> Callable[[Result], list[Evidence]]:
    """Compare the step that leave-one-out takes, which has not seen the image, with the last, image by image."""

    def read(result: Result) -> list[Evidence]:
        evidence = []
        for source in dict.fromkeys(each.labels.get("source") for each in result.scores):
            kept: dict[str, list[np.ndarray]] = {"transfer.success": [], "transfer.last": []}
            for each in result.scores:
                labels = each.labels
                ours = labels.get("attack") == attack and labels.get("source") == source
                if ours and labels.get("relation") == "black-box" and each.metric in kept:
                    assert each.score.per_image is not None
                    kept[each.metric].append(each.score.per_image)
            if kept["transfer.last"]:
                change = np.mean(kept["transfer.success"], axis=0) - np.mean(kept["transfer.last"], axis=0)
                evidence.append(Evidence(f"{source} {attack}", *bootstrap(change)))
        return evidence

    return read


def table_of(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)


STRENGTHS = [f"IR strength={value}" for value in ("0.25", "0.5", "1", "2", "4")]
FINDINGS: dict[str, list[Finding]] = {
    "transfer_table1": [
        Finding("IR transfers better than PGD (L-inf)", 1, differences("main", ["IR"], norm="linf")),
        Finding("IR transfers better than PGD (L2)", 1, differences("main", ["IR"], norm="l2")),
    ],
    "transfer_table2": [
        Finding("IR fools secured networks more often than PGD", 1, differences("main", ["IR"])),
        Finding("TI+IR fools secured networks more often than PGD", 1, differences("main", ["TI+IR"])),
        Finding("IR moves the margin of secured networks further than PGD", 1, differences("utility", ["IR"])),
    ],
    "transfer_table3": [
        Finding("MI transfers better than PGD", 1, differences("main", ["MI"])),
        Finding("VR transfers better than PGD", 1, differences("main", ["VR"])),
        Finding("SGM transfers better than PGD", 1, differences("main", ["SGM"])),
        Finding("SGM+IR transfers better than SGM", 1, differences("added", ["SGM+IR"])),
        Finding("every other attack stays behind HybridIR", -1, differences("hybrid")),
    ],
    "transfer_table4": [
        Finding("SGM has less interaction than PGD", -1, differences("by_source", ["SGM"])),
        Finding("VR has less interaction than PGD", -1, differences("by_source", ["VR"])),
        Finding("MI has less interaction than PGD (proposition 3)", -1, differences("by_source", ["MI"])),
        Finding("IR has less interaction than PGD", -1, differences("by_source", ["IR"])),
    ],
    "transfer_fig1": [
        Finding("interaction and transfer utility are negatively correlated", -1, every_cell("main")),
    ],
    "transfer_fig2": [
        Finding("neighbouring cells interact less with the interaction loss", -1, differences("main", ["IR"])),
    ],
    "transfer_fig3": [
        *(
            Finding(f"{label} transfers better than strength 0", 1, differences("main", [label]))
            for label in STRENGTHS
        ),
        Finding("the interaction loss alone beats noise of its size", 1, differences("alone", ["interaction only"])),
    ],
    "transfer_fig5": [
        Finding("one step leaves less interaction than many (proposition 1)", -1, differences("main", ["single-step"])),
        Finding("Gaussian noise has less interaction than many steps", -1, differences("main", ["Gaussian"])),
    ],
    "transfer_fig7": [
        Finding("MI transfers best before its last step", 1, best_step_against_last("MI")),
        Finding("PGD transfers best before its last step", 1, best_step_against_last("PGD")),
    ],
}  # fmt: skip
SHOWN = {
    "transfer_table1": ("main", "clean"),
    "transfer_table2": ("main", "utility"),
    "transfer_table3": ("main", "cost"),
    "transfer_table4": ("main", "scaled"),
    "transfer_fig1": ("main", "length"),
    "transfer_fig2": ("main", "error"),
    "transfer_fig3": ("main", "alone"),
    "transfer_fig5": ("main", "length"),
    "transfer_fig7": ("last_step",),
}
HEAD = """# Results on the embedded networks

Written by `python docs/make_results.py{arguments}`; every number and every verdict comes from the runs.

Small networks on 28 x 28 images are not ImageNet's: this page says which findings of the paper show at this scale and
which do not, not whether the paper is right. A finding *shows* where the 95% interval of each difference lies on its
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
    lines += [re.sub("^###", "####", markdown(tables[name], intervals=True)) for name in SHOWN[suite.name]]
    for plot in suite.plots:
        name = f"{suite.name}_{plot.name}.png"
        shutil.copyfile(result.folder / "plots" / f"{plot.name}.png", pictures / name)
        lines += [f"![{plot.title or suite.title}]({pictures.name}/{name})", ""]
    return "\n".join(lines)


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
    sections = [HEAD.format(arguments=arguments)]
    for name in given.suites:
        started = time.monotonic()
        result = run(
            load_suite(name, "embedded"),
            out=given.out, limit=given.limit, workers=given.workers, progress=for_stream(),
        )  # fmt: skip
        write_plots(result)
        sections.append(section(result, pictures))
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    given.page.write_text("\n".join(sections))


if __name__ == "__main__":
    main()
