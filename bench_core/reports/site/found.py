"""The runs of a site: where they are, what identifies their content, and when they were committed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import Fault, UsageError, stop_at_faults
from ...runs.folder import RECORD_FILE, find_runs, named_folder, run_folder
from .unchanged import KnownDigests, run_files

LONGEST_LOG = 60  # seconds that git may take for the history of a repository


@dataclass(frozen=True)
class FoundRun:
    """A run's folder.

    Attributes:
        name: Its name on the site.
        folder: The folder.
        digest: The SHA-256 of the files that its pages are made from.
        date: The day of the commit that last changed it, YYYY-MM-DD; "" if it is in no repository.
        commit: That commit, shortened.
    """

    name: str
    folder: Path
    digest: str
    date: str = ""
    commit: str = ""

    @property
    def when(self) -> str:
        """The date and the commit, or the name if there is neither."""
        return " ".join(filter(None, [self.date, self.commit])) or self.name


def find_site_runs(given: Sequence[str], known: KnownDigests | None = None) -> list[FoundRun]:
    """Find the runs that a command line names, oldest first: by date, then in the order given.

    Args:
        given: Each is FOLDER or NAME=FOLDER, the folder of a run or a folder of runs. A run without a name is called
            by its path below the given folder, so that a site is the same wherever its runs are.
        known: The digests of an earlier call, so that unchanged runs are not read.

    Raises:
        UsageError: A folder has no run, or two runs have the same name.
    """
    runs, known = list[FoundRun](), known or KnownDigests()
    for text in given:
        name, place = named_folder(text)
        folder = run_folder(place)
        folders = [folder] if (folder / RECORD_FILE).is_file() else find_runs(folder)
        if not folders:
            raise UsageError(Fault(str(folder), "", "there is no run (bench run SUITE)"))
        for path in folders:
            below = "" if path == folder else path.relative_to(folder).as_posix()
            named = "/".join(filter(None, [name, below])) if name else below or "/".join(path.parts[-2:])
            runs.append(FoundRun(named, path, known.digest_of(path, folder_digest)))
    shared = Counter(run.name for run in runs)
    if not all(named_folder(text)[0] for text in given):
        runs = [replace(run, name=run.folder.as_posix()) if shared[run.name] > 1 else run for run in runs]
    twice = sorted(name for name, count in Counter(run.name for run in runs).items() if count > 1)
    stop_at_faults([Fault(name, "", "is given twice") for name in twice])
    return sorted(_dated(runs), key=lambda run: run.date)


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of the files of a run that its pages are made from."""
    state = hashlib.sha256()
    for path in run_files(folder):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(Fault(str(path), "", f"cannot read: {error.strerror}")) from None
        state.update(f"{path.name} {len(content)}\n".encode() + content)
    return state.hexdigest()


def _dated(runs: Sequence[FoundRun]) -> list[FoundRun]:
    """Add dates and commits, reading the history of each repository once."""
    places = [(run, repository_of(run.folder)) for run in runs]
    known = {top: last_commits(top) for top in dict.fromkeys(top for _, top in places) if top}
    dated = []
    for run, top in places:
        file = (run.folder / RECORD_FILE).resolve()
        commit, date = known[top].get(file.relative_to(top).as_posix(), ("", "")) if top else ("", "")
        dated.append(replace(run, commit=commit, date=date))
    return dated


def repository_of(folder: Path) -> Path | None:
    """Return the top folder of the git repository that a folder is in."""
    resolved = folder.resolve()
    return next((parent for parent in (resolved, *resolved.parents) if (parent / ".git").exists()), None)


def last_commits(top: Path) -> dict[str, tuple[str, str]]:
    """Return the last commit of each run's record in a repository, and its day; nothing without git."""
    command = [
        "git", "-C", str(top), "-c", "core.quotePath=false", "log", "--no-show-signature", "--format=%x01%h %cs",
        "--name-only", "--", f":(glob)**/{RECORD_FILE}",
    ]  # fmt: skip
    try:
        output = subprocess.run(command, capture_output=True, timeout=LONGEST_LOG, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    log = os.fsdecode(output)  # a name may be no UTF-8
    found: dict[str, tuple[str, str]] = {}
    commit, date = "", ""
    for line in log.split("\n"):
        if line.startswith("\x01"):
            commit, _, date = line[1:].partition(" ")
        elif line:
            found.setdefault(line, (commit, date))
    return found
