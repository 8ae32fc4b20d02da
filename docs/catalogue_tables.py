"""The measured part of the catalogue's page: ranks, costs, comparisons with baselines, and sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench_core import Result
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.tables.formats import render
from bench_core.tables.sheet import Style
from bench_core.tables.table import Table, TableCell

LARGER = 1.1  # times the L2 norm of the baseline
UNRANKED = ("main", "size", "cost")


def section(result: Result) -> str:
    """Return the section of a suite."""
    suite = result.suite
    question = Path(suite.file).read_text().partition("\n")[0].removeprefix("#").strip()
    lines = [f"## {suite.name}", "", f"{suite.title}. {question}", ""]
    lines += [*settings(result), "", *ranked(result), ""]
    tables = {table.name: table for table in result.tables}
    compared = [name for name in tables if name not in UNRANKED] or ["main"]
    lines += [f"- {line}" for name in compared for line in verdicts(tables[name])]
    lines += [f"- {line}" for line in sizes(tables["size"], result)]
    lines.append("")
    shown = (re.sub("^###", "####", render(tables[name], "markdown", Style(intervals=True))) for name in compared)
    return "\n".join([*lines, *shown])


def settings(result: Result) -> Iterator[str]:
    """Yield what the suite attacks, and within which budgets."""
    suite = result.suite
    yield f"Sources: {', '.join('+'.join(s) if isinstance(s, list) else s for s in suite.sources)}."
    for name, budget in suite.budgets.items():
        steps = f"{budget.steps} steps of {budget.step_size * 255:.3g}/255"
        if budget.passes is not None:
            steps = f"as many steps as {budget.passes} passes allow, at most {budget.steps}"
        where = f", on {', '.join(budget.sources)}" if budget.sources else ""
        yield f"Budget `{name}`: {budget.norm}, eps {budget.eps * 255:g}/255, {steps}{where}."


def ranked(result: Result) -> list[str]:
    """Return the leaderboard of all budgets side by side, in the order of the first."""
    (sheet,) = leaderboards(read_contributions([str(result.folder)], warn=False))
    names = [column.name for column in sheet.columns]
    rows = [dict(zip(names, row, strict=True)) for row in sheet.rows]
    budgets = list(dict.fromkeys(str(row["budget"]) for row in rows))
    by_budget = {budget: {row["attack"]: row for row in rows if row["budget"] == budget} for budget in budgets}
    score = names[3]
    columns = ("rank", "success (%)", "passes", "front")
    head = [f"{column}, {budget}" if len(budgets) > 1 else column for budget in budgets for column in columns]
    lines = [f"| attack | {' | '.join(head)} |", f"| --- |{' ---: |' * len(head)}"]
    for attack in by_budget[budgets[0]]:
        cells = [cell for budget in budgets for cell in ranked_cells(by_budget[budget].get(attack), score)]
        lines.append(f"| {attack} | {' | '.join(cells)} |")
    counts = {row["N"] for row in rows}
    pairs = {row["pairs"] for row in rows}
    note = (
        f"N = {'/'.join(map(str, sorted(counts)))} images, mean over {'/'.join(map(str, sorted(pairs)))} pairs of "
        "source and black-box target; *front*: no other attack succeeds more often with as few passes."
    )
    return [*lines, "", note, "", *firsts(by_budget)]


def firsts(by_budget: Mapping[str, Mapping[Any, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield which attacks have the first rank within each budget."""
    for budget, rows in by_budget.items():
        names = [str(attack) for attack, row in rows.items() if str(row["rank"]) == "1"]
        yield f"- First rank within `{budget}`: {', '.join(names)}"


def ranked_cells(row: Mapping[str, Any] | None, score: str) -> tuple[str, str, str, str]:
    if row is None:
        return "", "", "", ""
    value, low, high = (100 * float(row[name]) for name in (score, "low", "high"))
    passes = float(row["forwards"]) + float(row["backwards"])
    return str(row["rank"]), f"{value:.1f} \\[{low:.1f}, {high:.1f}\\]", f"{passes:,.0f}", str(row["front"])


def verdicts(table: Table) -> Iterator[str]:
    """Yield, for each source and budget, which attacks are better or worse than the baseline."""
    baseline = table.header[-1].removeprefix("mean - ")
    groups: dict[tuple[str, ...], list[tuple[str, TableCell]]] = {}
    for key, cells in table.rows:
        if not math.isnan(cells[-1].low):
            groups.setdefault(key[:-1], []).append((key[-1], cells[-1]))
    for key, members in groups.items():
        better = [f"{name} ({100 * cell.value:+.1f})" for name, cell in members if cell.low > 0]
        worse = [f"{name} ({100 * cell.value:+.1f})" for name, cell in members if cell.high < 0]
        rest = len(members) - len(better) - len(worse)
        named = f"better: {', '.join(better) or 'none'}; worse: {', '.join(worse) or 'none'}"
        undecided = f"not distinguished from {baseline}: {rest} of {len(members)}"
        yield f"{table.title} ({', '.join(key)}): {named}; {undecided}"


def sizes(table: Table, result: Result) -> Iterator[str]:
    """Yield the attacks whose perturbations have a much larger L2 norm than the baseline's, at the same L-inf."""
    baseline = next(entry for entry in result.suite.tables if entry.name == "size").baseline["attack"]
    values = {key: cells[0].value for key, cells in table.rows}
    groups: dict[tuple[str, ...], list[str]] = {}
    for key, value in values.items():
        ratio = value / values[*key[:-1], baseline]
        if ratio > LARGER:
            groups.setdefault(key[:-1], []).append(f"{key[-1]} ({100 * (ratio - 1):+.0f}%)")
    for key, names in groups.items():
        yield f"L2 norm larger than that of {baseline} by more than 10% ({', '.join(key)}): {', '.join(names)}"
    if not groups:
        yield f"no attack's L2 norm is larger than that of {baseline} by more than 10%"
