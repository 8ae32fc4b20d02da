"""Finds the files of suites: by path, or by name among those that come with bench. Imports no pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import Fault, UsageError, did_you_mean, nearest


def suites_folder() -> Path:
    """Return the folder of bench's own suites: in the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    return package / "suites" if (package / "suites").is_dir() else package.parent / "suites"


def own_suites() -> dict[str, Path]:
    """Return the files of bench's own suites by name."""
    return {path.stem: path for path in sorted(suites_folder().glob("*.toml"))}


def find_suite(name: str) -> Path:
    """Return the file of a suite, given its path or the name of one of bench's own. Raises UsageError."""
    path, known = Path(name), own_suites()
    if path.is_file():
        return path
    if name in known:
        return known[name]
    if path.suffix == ".toml" and path.stem in known and path.parent.name in ("", "suites"):
        return known[path.stem]
    if path.is_dir():
        raise UsageError(Fault(name, "", "a folder, but neither a suite file nor the folder of a finished run"))
    raise UsageError(Fault(name, "", f"no such suite file {_hint(path, known)}"))


def _hint(path: Path, known: Mapping[str, Path]) -> str:
    """Return the most similar name: of a file in the folder of the one that is missing, or of one of bench's suites."""
    beside = path.parent.glob("*.toml") if path.parent.is_dir() else ()
    files = {file.stem: file for file in beside if file.name != "pyproject.toml" and file.is_file()}
    meant = files.get(path.name) or files.get(nearest(path.stem, {*files, *known}) or "")
    return f'(did you mean "{meant}"?)' if meant else did_you_mean(path.stem, known)
