"""A plan for people: what a run would compute, as a sheet. Its input is the record of `planning/describe.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..planning.cost import Estimate
from ..planning.describe import GROUPS, PASSES, plan_record
from ..planning.plan import Plan
from ..planning.weights import readable_size
from ..tables.formats import render
from ..tables.sheet import Approximate, Column, Entry, Sheet, duration
from ..types import Json


def plan_text(plan: Plan, estimate: Estimate | None = None) -> str:
    """Return a plan as text for a terminal, with the times of `estimate` if it is given."""
    return render(plan_sheet(plan_record(plan, estimate)))


def plan_sheet(record: Json) -> Sheet:
    """Return the record of a plan as a sheet: a row for each source, attack and budget."""
    estimate = record["estimate"]
    counts = (*(() if record["data_missing"] else ("cells", "stored")), *PASSES)
    columns = [*map(Column, GROUPS), *(Column(name, "total") for name in counts)]
    if estimate:
        columns.append(Column("time", "seconds"))

    def row(group: Json) -> Iterator[Entry]:
        yield from (group[name] for name in GROUPS)
        for name in counts:
            value = group.get(name, 0)
            yield Approximate(value) if group["assumed"] and name in PASSES[:2] else value
        if estimate:
            yield group["seconds"] / estimate["workers"]

    rows = tuple(tuple(row(group)) for group in record["groups"])
    intro = (
        f"profile {record['profile']}, {len(record['models'])} models", images_line(record), *classified_line(record),
        *missing_weights(record),
    )  # fmt: skip
    return Sheet(record["title"], tuple(columns), rows, tuple(notes(record)), intro=intro)


def images_line(record: Json) -> str:
    """Return how many images are selected, or why that is unknown."""
    if record["data_missing"]:
        return f"images: missing: {record['data_missing']}; the suite uses {record['selected']}"
    if record["selection"]:
        return f"images: {record['selected']} selected of {record['images']}, list {record['selection'][:12]}"
    return f"images: up to {record['selected']} of {record['images']}, selected once the clean images are classified"


def classified_line(record: Json) -> Iterator[str]:
    """Yield how many clean images are classified before the attacks, and how many in all."""
    if record["classified"] is None:
        return
    first, everything = record["classified"]["first"], record["classified"]["all"]
    if everything is None:
        before = f"at least {first:,}" if first else "none"
        yield f"clean images: {before} of {record['images']:,} looked at before the attacks, then only those attacked"
    elif first >= everything:
        yield f"clean images: all {everything:,} classified before the attacks"
    else:
        before = f"at least {first:,}" if first else "none"
        yield f"clean images: {before} of {everything:,} classified before the attacks, the rest after them"


def missing_weights(record: Json) -> Iterator[str]:
    """Yield a line for each missing file of weights, and how to get it."""
    missing = record["weights_missing"]
    if not missing:
        return
    count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
    yield f"weights: {count} missing (`{record['fetch']}` downloads those with a URL)"
    for file in missing:
        size = f", {readable_size(file['bytes'])}" if file["bytes"] else ""
        yield f"  {file['model']}: {file['file']} ({file['url'] or 'no URL: put it there yourself'}{size})"


def notes(record: Json) -> Iterator[str]:
    """Yield the notes below the table: exceptions, assumptions, and how much is to be computed."""
    groups = record["groups"]
    yield from record["notes"]
    seeded = sorted({use["attack"] for use in record["attacks"] if use["global_seed"]})
    if seeded:
        yield f"uses the global random seed, so results depend on the micro-batch: {', '.join(seeded)}"
    for attack, deviations in sorted({use["attack"]: use["deviations"] for use in record["attacks"]}.items()):
        if deviations:
            yield f"{attack} declares exceptions to the rules of bench check: {', '.join(sorted(deviations))}"
    if any(group["assumed"] for group in groups):
        yield "~: estimated by the attack, or one pass per step if it declares no cost (--cost counts them)"
    if record["data_missing"]:
        count = "1 image" if record["selected"] == 1 else f"{record['selected']:,} images"
        yield f"for {count}: {to_do(groups)}, without the classification of the clean images"
    else:
        counts = f"{record['jobs']} jobs, {record['cells']} cells, {record['stored']} of them stored"
        yield f"{counts}; to do: {to_do(groups)}"
    if record["estimate"]:
        yield from costs(record["estimate"])


def to_do(groups: Sequence[Json]) -> str:
    """Return the forward and backward passes that are not stored yet, marked with ~ if some of them are estimated."""
    forwards, backwards = (sum(group[f"{name}_to_do"] for group in groups) for name in PASSES[:2])
    mark = "~" if any(group["assumed"] and group["forwards_to_do"] for group in groups) else ""
    return f"{mark}{forwards:,.0f} forward and {mark}{backwards:,.0f} backward passes"


def costs(estimate: Json) -> Iterator[str]:
    """Yield the estimated time and memory, and what could not be measured."""
    workers, peak = estimate["workers"], estimate["peak_bytes"]
    memory = f", {peak / 1e6:,.0f} MB of memory at the peak of each" if peak else ""
    count = "1 worker" if workers == 1 else f"{workers} workers"
    yield f"estimated time on this machine: {duration(estimate['seconds'])} with {count}, not counting startup{memory}"
    for reason in estimate["unknown"]:
        yield f"not included, as it could not be measured: {reason}"
