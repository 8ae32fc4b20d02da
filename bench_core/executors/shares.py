"""How much of a job is done while it is computed, and what that adds to the progress of a stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

REPORT_SECONDS = 0.25  # the shortest time between two reports of a job
PARTS = 1024  # a share is rounded down to these parts; a power of two, so that the amounts add up exactly


@dataclass(frozen=True)
class Share:
    """The share in [0, 1] of a task that is done."""

    address: str
    share: float


class Throttled:
    """Passes on the first report of a share, and later ones at most every `REPORT_SECONDS`."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self.report, self.next = report, -math.inf

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if now >= self.next:
            self.next = now + REPORT_SECONDS
            self.report(share)


class StageShares:
    """Advances a stage by what is newly done of each job.

    A job that is computed again, since its worker was lost, advances the stage only when it is further than before. So
    nothing counts twice, and the stage never goes back.

    Args:
        passes: The amount of work of each job, by address.
        advance: Adds an amount of work to the stage.
    """

    def __init__(self, passes: Mapping[str, float], advance: Callable[[float], None]) -> None:
        self.passes, self.advance = passes, advance
        self.parts = dict.fromkeys(passes, 0)

    def report(self, address: str, share: float) -> None:
        """Advance the stage to a share of a job. Whatever an executor reports is limited to what can be true."""
        if address in self.parts and share > 0:  # not NaN
            self._advance_to(address, int(min(share, 1.0) * PARTS))

    def finish(self, address: str) -> None:
        """Advance the stage by what is left of a job."""
        self._advance_to(address, PARTS)

    def _advance_to(self, address: str, parts: int) -> None:
        new = parts - self.parts[address]
        if new > 0:
            self.parts[address] = parts
            self.advance(self.passes[address] * new / PARTS)
