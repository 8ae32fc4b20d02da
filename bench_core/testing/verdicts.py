"""Rules and their verdicts: a rule holds, is broken, has a declared deviation, or does not apply (is skipped)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import ContractError, UsageError, one_line, raised

Status = Literal["holds", "broken", "declared", "unasked"]
NUMBER = re.compile(r"[\d.e+-]+")
GUIDE = "docs/plugins.md"
OUTCOMES: Mapping[Status, str] = {"broken": "failed", "holds": "passed", "declared": "xfailed", "unasked": "skipped"}


class Broken(Exception):
    """A rule does not hold; `given` describes the input.

    A deviation that a plugin declares does not excuse it if the plugin `raised`, or if the rule found something other
    than what may be declared (`declarable` is False). `advice` says what would do.
    """

    advice = ""

    def __init__(self, what: str, given: str = "", raised: bool = False, declarable: bool = True) -> None:
        super().__init__(what)
        self.given, self.raised, self.declarable = given, raised, declarable and not raised


class Skipped(Exception):
    """A rule does not apply. A plugin may reject an input before a run, so that is no failure."""


@dataclass(frozen=True)
class Rule:
    """One property of a plugin, stated in a line by `about`. `ask` raises Broken or Skipped if it does not hold.

    A rule that the host enforces in every run is not `declarable`: a deviation would void the cell.
    """

    name: str
    about: str
    ask: Callable[[Any], None]
    declarable: bool = False


@dataclass(frozen=True)
class Verdict:
    """The result of checking a rule: `message` is what is wrong, or why it was skipped; `given` describes the input."""

    subject: str
    rule: str
    status: Status
    message: str = ""
    given: str = ""
    kind: str = ""
    advice: str = ""

    @property
    def read(self) -> str:
        """Where the rule is documented."""
        return f"{GUIDE}#{self.kind}-{self.rule.replace('_', '-')}"

    def __str__(self) -> str:
        parts = [f"{OUTCOMES[self.status].upper()} {self.subject}::{self.rule}", self.message and f" - {self.message}"]
        parts += [f"; {self.advice}"] if self.advice else []
        parts += [f" [{self.given}]" if self.given else ""]
        parts += [f" (see {self.read})" if self.status == "broken" else ""]
        return one_line("".join(parts))


def one_line_each(verdicts: Sequence[Verdict]) -> list[str]:
    """Describe the verdicts of one subject that need attention, with one line for each cause of broken rules.

    Rules have the same cause if their advice is the same, or their message except for its numbers.
    """
    causes: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        same = verdict.advice or NUMBER.sub("", verdict.message) if verdict.status == "broken" else verdict.rule
        causes.setdefault(f"{verdict.status} {same}", []).append(verdict)
    shown = (of_cause for of_cause in causes.values() if of_cause[0].status != "holds" or of_cause[0].message)
    return [_with_rules(of_cause) for of_cause in shown]


def _with_rules(of_cause: Sequence[Verdict]) -> str:
    first, *others = of_cause
    if not others:
        return str(first)
    rules = f"{len(of_cause)} rules: {first.message}"
    return f"{replace(first, message=rules)}, and {', '.join(verdict.rule for verdict in others)}"


class Rules(dict[str, Rule]):
    """The rules of one kind of plugin, in the order of checking."""

    def add(self, *, declarable: bool = False) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """Return a decorator that adds a function as a rule, with its name and the first line of its docstring."""

        def decorate(ask: Callable[[Any], None]) -> Callable[[Any], None]:
            about = (ask.__doc__ or "").strip().splitlines()[0]
            self[ask.__name__] = Rule(ask.__name__, about, ask, declarable)
            return ask

        return decorate


@contextmanager
def with_input(given: str) -> Iterator[None]:
    """Turn exceptions of a plugin into Broken with a description of its input, and a UsageError into Skipped."""
    try:
        yield
    except Broken as broken:
        broken.given = broken.given or given
        raise
    except Skipped:
        raise
    except UsageError as rejection:
        raise Skipped(f"it rejects the input: {rejection}") from rejection
    except ContractError as error:
        raise Broken(str(error), given) from error
    except (Exception, SystemExit) as error:
        raise Broken(raised(error), given, raised=True) from error
