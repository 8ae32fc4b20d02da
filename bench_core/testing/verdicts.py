"""What a rule is, and what becomes of it: it holds, is broken, was declared as broken, or could not be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ContractError, UsageError, one_line, raised

Status = Literal["holds", "broken", "declared", "unasked"]
GUIDE = "docs/plugins.md"


class Broken(Exception):
    """A rule does not hold: what is wrong, and with which input."""

    def __init__(self, what: str, given: str = "") -> None:
        super().__init__(what)
        self.given = given


class Unasked(Exception):
    """A rule cannot be asked of this plugin, and why; refusing before a run what one cannot do is no fault."""


@dataclass(frozen=True)
class Rule:
    """One property of a plugin; `ask` raises Broken or Unasked. `about` says the property in a line.

    A rule that the host itself enforces in every run cannot be declared away: the cell would be void.
    """

    name: str
    about: str
    ask: Callable[[Any], None]
    declarable: bool = False


@dataclass(frozen=True)
class Verdict:
    """What became of a rule: `message` says what is wrong (or why it was not asked), `given` with which input."""

    subject: str
    rule: str
    status: Status
    message: str = ""
    given: str = ""
    kind: str = ""

    @property
    def read(self) -> str:
        """Say where the rule is explained."""
        return f"{GUIDE}#{self.kind}-{self.rule.replace('_', '-')}"

    def __str__(self) -> str:
        parts = [f"{self.subject}: {self.rule}: {self.status}", self.message]
        parts += [f"with {self.given}"] if self.given else []
        parts += [f"read {self.read}"] if self.status == "broken" else []
        return one_line("; ".join(part for part in parts if part))


class Rules(dict[str, Rule]):
    """The rules of one kind of plugin, in the order in which they are asked."""

    def add(self, *, declarable: bool = False) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """Make a function a rule, by its name and the first line of its docstring."""

        def decorate(ask: Callable[[Any], None]) -> Callable[[Any], None]:
            about = (ask.__doc__ or "").strip().splitlines()[0]
            self[ask.__name__] = Rule(ask.__name__, about, ask, declarable)
            return ask

        return decorate


@contextmanager
def with_input(given: str) -> Iterator[None]:
    """Turn whatever a plugin does wrong in here into Broken, with the input it had."""
    try:
        yield
    except Broken as broken:
        broken.given = broken.given or given
        raise
    except Unasked:
        raise
    except UsageError as refusal:
        raise Unasked(f"it refuses: {refusal}") from refusal
    except ContractError as error:
        raise Broken(str(error), given) from error
    except (Exception, SystemExit) as error:
        raise Broken(raised(error), given) from error
