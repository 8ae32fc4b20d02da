"""Faults that name their key; collected, reported together, never a traceback for a user's mistake."""

import difflib
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One mistake: where it stands (a file, a command), under which key, and what is wrong and would do."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        parts = [part for part in (self.where, self.key, self.message) if part]
        return one_line(": ".join(parts))


class UsageError(Exception):
    """The user asked for something that cannot be; `faults` holds every mistake found. Exit code 2."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


class ContractError(Exception):
    """A plugin broke its contract; the cell is void. The message is the reason shown on the leaderboard."""


def one_line(text: str) -> str:
    """Make any text safe for one line: control characters are escaped, commands to a CI log broken, none obeyed."""
    plain = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return plain.replace("##[", "# #[")


NOT_A_PLUGIN = sys.stdlib_module_names | {"bench_core", "numpy", "torch"}


def raised(error: BaseException) -> str:
    """Say in one line what a plugin raised, and where: at the innermost line that is its own, or another library's."""
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    places = [
        (str(frame.f_globals.get("__name__", "")), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in places if place[0].partition(".")[0] not in NOT_A_PLUGIN]
    where = " (in {}, line {})".format(*own[-1]) if own else ""
    return f"raised {one_line(text)[:400]}{where}"


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Name the nearest known name, or list what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    if near:
        return f'(did you mean "{near[0]}"?)'
    return f"(known: {', '.join(known)})" if known else "(none is known)"


def stop_at_faults(faults: Sequence[Fault]) -> None:
    """Raise all faults at once, if there are any."""
    if faults:
        raise UsageError(*dict.fromkeys(faults))
