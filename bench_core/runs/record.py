"""`run.json`: what a run was made from, and what it reports beside its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import Fault, UsageError
from ..suite.model import Suite
from .folder import RECORD_FILE

FORMAT: Literal[1] = 1
Facts = dict[str, Any]  # JSON


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SelectedImages(_Part):
    """The frozen list of attacked images: positions in the dataset, SHA-256 digests, and the digest of the list.

    `planned` is the number of images that the run was to attack. It is larger if the run was interrupted.
    """

    indices: list[int]
    ids: list[str]
    digest: str
    planned: int | None = None


class Dataset(_Part):
    """The dataset: the number of images, and the digest of the list of their digests."""

    count: int
    digest: str


class RunRecord(_Part):
    """What a run was made from. `write` in `runs/write.py` writes it; `read_record` is the only reader.

    Attributes:
        format: The version of this record.
        suite: The suite, with profile and overrides merged. Its `file` may be a path on another machine.
        images: The attacked images.
        dataset: The dataset that they are from.
        truth: The classes of the attacked images.
        models: Identity, recipe and options of every network, by its label.
        environment: What results depend on besides the code: libraries, device, machine.
        versions: The versions of the packages.
        plugins: Name, package, version and source digest of every installed plugin.
        host: The digest of bench's own computing code.
        seed: The suite's seed.
        limit: The limit on the number of images (`--limit`), if there was one.
        until: "decided" if the run was to stop when no comparison is undecided (`--until`).
        decisions: Which comparisons are decided, tied and undecided, if that was asked.
        global_seed: The attacks that draw from the global generators.
        deviations: The rules of `bench check` that attacks state they cannot keep, by attack.
        voids: The reasons of all void cells, each once.
        warnings: The warnings.
        notes: What a reader must know besides; `bench show` prints it.
        other_runs: The runs whose distances its scores count: their folders, the SHA-256 of their rows, their attacks.
        reproduce: The command that repeats the run.
    """

    format: Literal[1] = FORMAT
    suite: Suite
    images: SelectedImages
    dataset: Dataset
    truth: list[int]
    models: dict[str, Facts]
    environment: Facts
    versions: dict[str, str | None]
    plugins: list[str]
    host: str
    seed: int
    limit: int | None
    until: Literal["decided"] | None = None
    decisions: Facts | None = None
    global_seed: list[str]
    deviations: Facts
    voids: list[str]
    warnings: list[str]
    notes: list[str] = []
    other_runs: list[Facts] = []
    reproduce: str


def read_record(folder: Path) -> RunRecord:
    """Read the record of a run's folder. Raises UsageError where there is none, or an older bench wrote it."""
    path = folder / RECORD_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = "no finished run is here (try the folder of a run, such as results/SUITE/PROFILE)"
        raise UsageError(Fault(str(folder), "", message)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise UsageError(Fault(str(path), "", f"not the record of a run ({reason})")) from None
    found = facts.get("format", "none") if isinstance(facts, dict) and "suite" in facts else None
    if found is None:
        raise UsageError(Fault(str(path), "", "not the record of a run (damaged)"))
    if found != FORMAT:
        message = f"found {found}, expected {FORMAT}: written by another version of bench (run the suite again)"
        raise UsageError(Fault(str(path), "format", message))
    try:
        return RunRecord.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(Fault(str(path), key, f"damaged: {first['msg']} (run the suite again)")) from None
