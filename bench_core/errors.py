"""Errors, and faults: mistakes of the user, which are collected and reported together without a traceback."""

import difflib
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

INTERRUPTED = 130  # the exit code after Ctrl-C: 128 + SIGINT, as shells report it


@dataclass(frozen=True)
class Fault:
    """One mistake.

    Attributes:
        where: The file, command-line option or command that it is in.
        key: The dotted key, or "".
        message: What is wrong, and what is expected.
    """

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        parts = [part for part in (self.where, self.key, self.message) if part]
        return one_line(": ".join(parts))


class UsageError(Exception):
    """The user's input is wrong; `faults` are all mistakes found. Exit code 2."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [f"bench: {fault}" for fault in self.faults]


class Interrupted(Exception):
    """The user interrupted the run; what finished is stored. Exit code `INTERRUPTED`."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [_to_continue(self, "interrupted")]


class Incomplete(Exception):
    """The run cannot continue, for example because the disk is full; what finished is stored. Exit code 3."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [_to_continue(self, str(self))]


def _to_continue(stopped: Exception, why: str) -> str:
    kept = "; ".join(getattr(stopped, "__notes__", ["finished results are stored"]))
    return one_line(f"bench: {why}; {kept}, run the same cell to continue")


class ContractError(Exception):
    """A plugin broke its contract, so its cell is void. The message is the reason that the leaderboard shows."""


class NetworkFault(ContractError):
    """A network failed. Its cells are void, and no other network's.

    Attributes:
        network: The label of the network in the suite.
        fault: What it did, as a phrase that follows its name.
        form: Whether its answer is no tensor of logits at all, so that it can never be used.
    """

    def __init__(self, network: str, fault: str, form: bool = False) -> None:
        super().__init__(f'the network "{network}" {fault}')
        self.network, self.fault, self.form = network, fault, form


def one_line(text: str) -> str:
    """Escape control characters and CI workflow commands (`##[...]`), so that any text is one harmless line."""
    plain = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return plain.replace("##[", "# #[")


NOT_A_PLUGIN = sys.stdlib_module_names | {"bench_core", "numpy", "torch"}


def raised(error: BaseException) -> str:
    """Describe in one line what a plugin raised, with the innermost line outside the host, NumPy and torch."""
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    lines = [(str(frame.f_globals.get("__name__", "")), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    outside = [(module, line) for module, line in lines if module.partition(".")[0] not in NOT_A_PLUGIN]
    where = " (in {}, line {})".format(*outside[-1]) if outside else ""
    return f"raised {one_line(text)[:400]}{where}"


def nearest(found: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to a misspelt one; None if none is similar.

    A name with the same letters in another order is nearest: swapped letters are the most common mistake.
    """
    similar = difflib.get_close_matches(found, sorted(known), n=5, cutoff=0.5)
    return next((name for name in similar if sorted(name) == sorted(found)), next(iter(similar), None))


MOST_NAMED = 10  # the number of known names that a hint lists in full


def did_you_mean(found: str, known: Iterable[str], listing: str = "") -> str:
    """Return a hint in parentheses: the most similar known name, or else all of them, or five of many.

    Args:
        found: The misspelt name.
        known: The names that there are.
        listing: The command that lists them all.
    """
    known = sorted(known)
    near = nearest(found, known)
    if near is not None:
        return f'(did you mean "{near}"?)'
    if len(known) <= MOST_NAMED:
        return f"(known: {', '.join(known)})" if known else "(none is known)"
    five = difflib.get_close_matches(found, known, n=5, cutoff=0.0)
    rest = f"{listing} lists all {len(known)}" if listing else f"{len(known)} are known"
    return f"(nearest: {', '.join(five)}; {rest})"


def in_grey_levels(name: str, value: float) -> str:
    """Return the message for a length that only makes sense in grey levels from 0 to 255.

    Args:
        name: What it is the length of, such as "eps".
        value: The length that was found.
    """
    return f'found {name} {value:g}, but images are in [0, 1] (try "{value:g}/255")'


def stop_at_faults(faults: Sequence[Fault]) -> None:
    """Raise UsageError with all faults, each once, if there are any."""
    if faults:
        raise UsageError(*dict.fromkeys(faults))
