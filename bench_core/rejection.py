"""Why an attack or a metric cannot be used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rejection:
    """The reason that an attack or a metric cannot be used: a `message`, and the wrong `option` ("" for none)."""

    option: str
    message: str

    def __str__(self) -> str:
        return f"{self.option}: {self.message}" if self.option else self.message

    @classmethod
    def of(cls, reason: Rejection | str | None) -> Rejection | None:
        """Convert what a `check` returned to a Rejection, or to None if nothing is wrong.

        A text "OPTION: MESSAGE" names the option. Any other text, with or without a colon, is the message.
        """
        if not reason or isinstance(reason, Rejection):
            return reason or None
        option, _, message = reason.partition(": ")
        return cls(option, message) if message and option.isidentifier() else cls("", reason)
