"""`bench baseline`: what runs are held against, as committed files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..gate.snapshot import Snapshot

app = typer.Typer(no_args_is_help=True, help="Keep the outcomes of a run as a file that later runs are held against.")
Folder = Annotated[Path, typer.Option("--baselines", metavar="DIR", help="Where baselines are kept.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
Name = Annotated[str | None, typer.Option(help="The baseline's name; SUITE.PROFILE by default.")]
HERE = Path("results/baselines")


@app.command()
def save(run: Run, name: Name = None, baselines: Folder = HERE) -> None:
    """Write a new baseline from a run."""
    from ..errors import Fault, UsageError
    from ..gate.baselines import save_baseline

    snapshot, path = _of(run, name, baselines)
    if path.exists():
        message = 'is there already (use: bench baseline update --reason "...")'
        raise UsageError(Fault(str(path), "", message))
    save_baseline(snapshot, path, ["first"])
    print(f"bench: wrote {path}: commit it")


@app.command()
def update(
    run: Run,
    reason: Annotated[str, typer.Option(help="Why the new outcomes are right; kept in the file.")],
    name: Name = None,
    baselines: Folder = HERE,
) -> None:
    """Replace a baseline by a run's outcomes, and say why."""
    from ..errors import Fault, UsageError, one_line
    from ..gate.baselines import baseline_files, find_baseline, read_history, save_baseline

    if not reason.strip():
        raise UsageError(Fault("--reason", "", "found nothing (say why the new outcomes are right)"))
    snapshot, path = _of(run, name, baselines)
    if path.stem not in baseline_files(baselines):
        find_baseline(path.stem, baselines)  # says what there is
    save_baseline(snapshot, path, [*read_history(path), one_line(reason.strip())])
    print(f"bench: wrote {path}: review its diff and commit it")


@app.command(name="list")
def list_(baselines: Folder = HERE) -> None:
    """List the baselines: suite, images, scores, and the reason of the last change."""
    from ..gate.baselines import baseline_files, load_baseline, read_history
    from ..tables.sheet import Column, Sheet, terminal

    rows = []
    for name, path in baseline_files(baselines).items():
        each = load_baseline(path)
        history = read_history(path)
        rows.append((name, each.suite, each.profile, len(each.ids), len(each.scores), len(history), history[-1]))
    names = ("baseline", "suite", "profile", "images", "scores", "changes", "last reason")
    columns = tuple(Column(n, "count" if n in ("images", "scores", "changes") else "text") for n in names)
    print(terminal(Sheet(f"Baselines in {baselines}", columns, tuple(rows))), end="")


def _of(run: Path, name: str | None, baselines: Path) -> tuple[Snapshot, Path]:
    from ..gate.snapshot import snapshot_of_run
    from ..runs.folder import safe_name

    snapshot = snapshot_of_run(run)
    return snapshot, baselines / f"{safe_name(name or f'{snapshot.suite}.{snapshot.profile}')}.json"
