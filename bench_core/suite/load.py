"""Loads a suite by file or by name, with its profile and overrides."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import Fault, UsageError, did_you_mean, nearest, stop_at_faults
from .budget import MOST_STEPS
from .faults import faults_of
from .find import find_suite, own_suites, suites_folder
from .merge import merged, origin, override_key, read_override, read_toml
from .model import Suite
from .sweep_faults import without_sweep_faults
from .sweeps import expand_sweeps
from .validate import name_faults

SET_BY_LOADING = ("name", "file", "profile", "overrides")
DATA = "data.root="  # what --data sets, to a text in quotation marks


def command(verb: str, suite: Suite, *options: str, without: str = "") -> str:
    """Return the command line that runs a `bench` command on a suite as it was loaded.

    Args:
        verb: The command, such as "run".
        suite: The suite, whose profile and overrides are repeated.
        options: Further options of the command line.
        without: A prefix of overrides that are omitted; "" for none.
    """
    shipped = Path(suite.file) == own_suites().get(suite.name)
    overrides = [f"--set={text}" for text in suite.overrides if not without or not text.startswith(without)]
    name = suite.name if shipped else suite.file
    return shlex.join(["bench", verb, name, "--profile", suite.profile, *options, *overrides])


def load_suite(
    name: str,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    more_faults: Callable[[Mapping[str, Any]], Sequence[Fault]] | None = None,
) -> Suite:
    """Load a suite and validate it.

    Args:
        name: The suite's file, or the name of one of bench's own.
        profile: One of the suite's profiles; the first that it lists by default.
        overrides: Texts of the form `key=value`, which override the file and the profile.
        more_faults: Finds faults that need the plugins, in the merged tables of a suite that has faults already, so
            that all are reported at once (`planning.recipe_faults`).

    Raises:
        UsageError: with all faults, each with its key and the file, profile or override that it comes from.
    """
    path = find_suite(name)
    where = str(path)
    table = read_toml(path)
    if not table:
        raise UsageError(Fault(where, "", "is empty, and not a suite (docs/suites.md shows one)"))
    profiles, by_profile, faults = _take_profiles(table, where)
    # the section that is there stands for the profile that a faulty list should name
    chosen = next(iter(profiles or by_profile), "") if profile is None else profile
    if profiles and chosen not in profiles:
        raise UsageError(Fault(where, "profiles", f'no profile "{chosen}" {did_you_mean(chosen, profiles)}'))
    faults += [
        Fault(where, f"on.{key}", f"unknown profile {did_you_mean(key, profiles)}")
        for key in by_profile
        if profiles and key not in profiles
    ]
    # a section for a misspelt profile is validated too, so that its other faults are reported at once
    sections = [by_profile[key] for key in by_profile if key == chosen or nearest(key, profiles) == chosen]
    given = _read_overrides(overrides)
    layers = [*_profile_file(path.parent, chosen), (where, table), *((where, section) for section in sections)]
    # merged on their own first, so that an override of an option may precede that of its recipe
    overriding: dict[str, Any] = reduce(merged, (override for _, override in given), {})
    whole, sweep_faults = without_sweep_faults(reduce(merged, [*(layer for _, layer in layers), overriding], {}))
    tables = expand_sweeps(whole)
    layers += given
    suite_faults = sweep_faults + [
        Fault(where, key, "not a key of a suite") for key in SET_BY_LOADING if tables.pop(key, None) is not None
    ]
    try:
        suite = Suite(**tables, name=path.stem, file=where, profile=chosen, overrides=list(overrides))
        suite_faults += _step_faults(suite)
    except ValidationError as error:
        suite_faults += faults_of(error, Suite, where)
    suite_faults += name_faults(tables)
    if (faults or suite_faults) and more_faults:
        suite_faults += more_faults({**tables, "file": where})
    stop_at_faults(faults + [replace(fault, where=origin(fault.key, layers, where)) for fault in suite_faults])
    return suite


def _step_faults(suite: Suite) -> list[Fault]:
    return [
        Fault(suite.file, f"budgets.{label}.steps", f"found {budget.steps:,}, expected at most {MOST_STEPS:,}")
        for label, budget in suite.budgets.items()
        if budget.steps > MOST_STEPS
    ]


def _take_profiles(table: dict[str, Any], where: str) -> tuple[list[str], dict[str, dict[str, Any]], list[Fault]]:
    """Remove and return a file's list of profiles, empty if it is faulty, its section for each, and the faults.

    Raises UsageError where the sections are no tables, since most of a suite may be in them.
    """
    profiles, by_profile, faults = table.pop("profiles", None), table.pop("on", {}), list[Fault]()
    if not (isinstance(profiles, list) and profiles and all(isinstance(name, str) for name in profiles)):
        message = f"found {profiles!r}, expected a list of names, the default first"
        faults.append(Fault(where, "profiles", message))
        profiles = []
    if not isinstance(by_profile, dict) or not all(isinstance(section, dict) for section in by_profile.values()):
        stop_at_faults([*faults, Fault(where, "on", "expected a table for each profile (try [on.PROFILE])")])
    return profiles, by_profile, faults


def _profile_file(folder: Path, profile: str) -> list[tuple[str, dict[str, Any]]]:
    """Read the file `profiles/PROFILE.toml`, if there is one, beside the suite or else among bench's own suites."""
    for parent in (folder, suites_folder()):
        file = parent / "profiles" / f"{profile}.toml"
        if file.is_file():
            return [(str(file), read_toml(file))]
    return []


def _read_overrides(overrides: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Parse all overrides. Raises UsageError with a fault for each that is malformed."""
    given, faults = [], list[Fault]()
    for text in overrides:
        try:
            given.append((option_of(text), read_override(text)))
        except UsageError as error:
            faults += error.faults
    stop_at_faults(faults)
    return given


def option_of(override: str) -> str:
    """Return the command-line option that an override comes from: `--data`, which sets `data.root`, or `--set`."""
    return f"--data {override.removeprefix(DATA)}" if override.startswith(f'{DATA}"') else f"--set {override}"


def at_overrides(suite: Suite, faults: Sequence[Fault]) -> list[Fault]:
    """Return faults of a suite, those of an overridden key with the command-line option in place of the file."""
    given = [(override_key(text), option_of(text)) for text in reversed(suite.overrides)]

    def at(fault: Fault) -> Fault:
        if fault.where != suite.file or not fault.key:
            return fault
        inside = (option for key, option in given if f"{fault.key}.".startswith(f"{key}."))
        data = (option for key, option in given if fault.key == "data" and key == "data.root")
        return replace(fault, where=next(chain(inside, data), fault.where))

    return [at(fault) for fault in faults]


def with_images(suite: Suite, count: int) -> Suite:
    """Return a suite that attacks `count` images in place of its own number: more, or fewer.

    The images are the first of the same list, so that a run of more images reuses all results of a run of fewer. Where
    several micro-batches go through an attack together, the last group is computed again if it was not complete.

    Raises:
        UsageError: If the count is neither the suite's own nor a multiple of its micro-batch. The rest would be
            computed as a smaller micro-batch, and again with the next count.
    """
    size = suite.compute.micro_batch
    if count % size and count != suite.images.count:
        below, above = count // size * size, (count // size + 1) * size
        choices = f"{below} or {above}" if below else str(above)
        message = (
            f"found {count}, but images are computed {size} at a time (try {choices}, or --limit for a quick look)"
        )
        raise UsageError(Fault("--images", "", message))
    overrides = [text for text in suite.overrides if not text.startswith("images.count=")]
    images = suite.images.model_copy(update={"count": count, "digest": None})
    return suite.model_copy(update={"images": images, "overrides": [*overrides, f"images.count={count}"]})
