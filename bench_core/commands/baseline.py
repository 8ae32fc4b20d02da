"""`bench baseline`: saves the outcomes of runs as files to commit. `bench compare` compares later runs with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import BASELINES, Baselines, Format

if TYPE_CHECKING:
    from ..gate.snapshot import Snapshot

app = typer.Typer(no_args_is_help=True, help="Save, update and list the baselines of the regression gate.")
Run = Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="The name of the baseline. Defaults to SUITE.PROFILE.")]


@app.command()
def save(run: Run, name: Name = None, baselines: Baselines = BASELINES) -> None:
    """Save a run as a new baseline."""
    from ..errors import Fault, UsageError
    from ..gate.baselines import save_baseline

    snapshot, path = snapshot_and_path(run, name, baselines)
    if path.exists():
        message = 'already exists (use: bench baseline update --reason "...")'
        raise UsageError(Fault(str(path), "", message))
    save_baseline(snapshot, path, ["first"])
    print(f"bench: wrote {path}: commit it")


@app.command()
def update(
    run: Run,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the new outcomes are right. Saved in the file.")],
    name: Name = None,
    baselines: Baselines = BASELINES,
) -> None:
    """Replace a baseline with the outcomes of a run."""
    from ..errors import Fault, UsageError, one_line
    from ..gate.baselines import baseline_files, find_baseline, read_history, save_baseline

    if not reason.strip():
        raise UsageError(Fault("--reason", "", "found nothing (state why the new outcomes are right)"))
    snapshot, path = snapshot_and_path(run, name, baselines)
    if path.stem not in baseline_files(baselines):
        find_baseline(path.stem, baselines)  # raises, and names the known baselines
    save_baseline(snapshot, path, [*read_history(path), one_line(reason.strip())])
    print(f"bench: wrote {path}: review its diff and commit it")


@app.command(name="list")
def list_(format: Format = "terminal", baselines: Baselines = BASELINES) -> None:
    """List the baselines and the reason for the last change of each."""
    from ..gate.baselines import baseline_files, load_baseline, read_history
    from ..tables.sheet import Column, Sheet
    from .output import printer

    show = printer(format)
    rows = []
    for name, path in baseline_files(baselines).items():
        snapshot, history = load_baseline(path), read_history(path)
        rows.append((
            name, snapshot.suite, snapshot.profile, len(snapshot.ids), len(snapshot.scores), len(history), history[-1],
        ))  # fmt: skip
    names = ("baseline", "suite", "profile", "images", "scores", "changes", "last reason")
    columns = tuple(Column(n, "count" if n in ("images", "scores", "changes") else "text") for n in names)
    show([Sheet(f"Baselines in {baselines}", columns, tuple(rows))])


def snapshot_and_path(run: Path, name: str | None, baselines: Path) -> tuple[Snapshot, Path]:
    """Return the outcomes of a run, and the file of the baseline with this name."""
    from ..files import safe_name
    from ..gate.snapshot import snapshot_of_run

    snapshot = snapshot_of_run(run)
    return snapshot, baselines / f"{safe_name(name or f'{snapshot.suite}.{snapshot.profile}')}.json"
