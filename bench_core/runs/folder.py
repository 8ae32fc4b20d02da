"""The files of a run's folder, and how folders are found."""

from __future__ import annotations

from pathlib import Path

from ..files import safe_name

RECORD_FILE, ROWS_FILE, SCORES_FILE = "run.json", "rows.safetensors", "scores.jsonl"
OTHER_RUNS_FILE = "other_runs.safetensors"  # distances that other runs reached, in runs whose scores count them


def run_folder(path: Path) -> Path:
    """Return the folder of a run, given the folder or a file in it."""
    return path.parent if path.is_file() and path.name in (RECORD_FILE, ROWS_FILE, SCORES_FILE) else path


def named_folder(text: str) -> tuple[str, Path]:
    """Return the name and the folder of a run that a command line gives as FOLDER or NAME=FOLDER; "" without a name.

    A path that exists is a folder without a name, even if it has an equals sign.
    """
    name, equals, folder = text.partition("=")
    if not equals or Path(text).exists():
        return "", Path(text)
    return name, Path(folder)


def find_runs(out: Path) -> list[Path]:
    """Return the folders of all runs in a results folder, and of runs that were moved to it or directly below it."""
    found = {path.parent for depth in ("", "*/", "*/*/") for path in out.glob(f"{depth}{RECORD_FILE}")}
    return sorted(found)


def published_file(folder: Path, table: str) -> Path:
    """Return where a run's folder keeps the published values of a table."""
    return folder / "published" / f"{safe_name(table)}.csv"
