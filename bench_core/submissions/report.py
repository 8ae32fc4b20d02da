"""A verification as sheets: its verdict, the paired tests, and the cells that differ."""

from __future__ import annotations

from ..errors import one_line
from ..tables.sheet import Column, Sheet
from .verify import Verification

MOST_CELLS = 50


def sheets(found: Verification) -> list[Sheet]:
    """Return the verdict and, where values differ, the tests and the cells."""
    tables = [_verdict(found)]
    if found.rows:
        tables.append(_tests(found))
    if found.changed:
        tables.append(_cells(found))
    return tables


def _verdict(found: Verification) -> Sheet:
    left, total = found.most_missed, found.jobs
    cells = f"{found.drawn_cells} of {found.cells} cells"
    setup = "; ".join(found.differs.setup) or "the same"
    rows = [
        ("verdict", found.verdict),
        *(("reason", reason) for reason in found.reasons),
        ("run", f"{found.name}, SHA-256 {found.digest}"),
        ("weights and images", "the same"),
        ("code", "; ".join(found.differs.code) or "the same"),
        ("setup", setup),
        ("sample", f"{found.drawn} of {total} micro-batches with {cells}, seed {found.seed}"),
        ("one changed outcome", f"in any cell of the run is found with probability {found.found_with:.4g}"),
        ("changed outcomes", f"in {found.changed_jobs} of {found.drawn} recomputed micro-batches"),
        ("could be missed", f"changed outcomes in at most {left} of {total} micro-batches (95%, exact)"),
    ]  # fmt: skip
    notes = tuple(f"not checked: {one_line(note)}" for note in found.notes)
    return Sheet(
        f"Verification of {found.name}: {found.verdict}", (Column("what"), Column("found")), tuple(rows), notes
    )


def _tests(found: Verification) -> Sheet:
    columns = (
        Column("row"), Column("images", "count"), Column("higher", "count"), Column("lower", "count"),
        Column("p (Holm)", "p"), Column("could be missed", "percent"),
    )  # fmt: skip
    rows = tuple((row.name, row.images, row.higher, row.lower, row.p, row.missed) for row in found.rows)
    notes = (
        "higher, lower: images whose claimed values are so, summed over the recomputed cells; p: the exact sign test "
        "of both being equally likely; could be missed: the largest share of images moved in one direction that the "
        "test finds with a probability below 95%",
    )
    return Sheet("Paired tests, claimed against recomputed", columns, rows, notes)


def _cells(found: Verification) -> Sheet:
    ordered = sorted(found.changed, key=lambda cell: (not cell.form, not cell.outcomes))
    rows = tuple((cell.name, cell.batch + 1, cell.what) for cell in ordered[:MOST_CELLS])
    left = len(found.changed) - len(rows)
    columns = (Column("cell"), Column("micro-batch", "count"), Column("differs"))
    return Sheet("Cells that differ", columns, rows, (f"{left} more cells differ",) if left else ())
