"""All fault experiments: what is tried and how often."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from . import entries, persistence, plugins, strangers
from .world import World

Trial = Callable[[World, int, random.Random], str | None]


@dataclass(frozen=True)
class Experiment:
    """`trial(world, number, random)` returns what went wrong, or None; `volume` is the number of trials."""

    name: str
    what: str
    trial: Trial
    volume: Callable[[World], int]

    def once(self, world: World, number: int, seed: int) -> str | None:
        """Run one trial with its own random generator; an exception is a failure."""
        try:
            return self.trial(world, number, random.Random(f"{seed}/{self.name}/{number}"))
        except Exception as error:
            return f"raised {type(error).__name__}: {error}"


def fixed(count: int) -> Callable[[World], int]:
    return lambda _world: count


ALL = (
    Experiment("kill-operation", "run killed at every operation that writes results",
               persistence.killed_at_an_operation, persistence.operations),
    Experiment("kill-time", "run killed at a random moment", persistence.killed_at_a_time, fixed(300)),
    Experiment("disk-full", "disk full from every such operation on",
               persistence.full_at_an_operation, persistence.operations),
    Experiment("processes", "two or four processes on one suite at the same time", persistence.together, fixed(100)),
    Experiment("bit-flip", "one bit of a stored entry flipped", entries.flipped, fixed(1000)),
    Experiment("truncation", "a stored entry cut off at every length", entries.truncated,
               lambda _world: len(entries.entry())),
    Experiment("forgery", "an entry replaced by random bytes, or by a pickle that runs code",
               entries.forged, fixed(50)),
    Experiment("fuzzed-suite", "a suite file with random damage, read and planned", strangers.fuzzed, fixed(10_000)),
    Experiment("fuzzed-value", "a suite file with other values, read and planned",
               strangers.fuzzed_values, fixed(10_000)),
    Experiment("hostile-name", "a hostile name for attack, model, budget, table and title",
               strangers.hostile, fixed(len(strangers.HOSTILE))),
    Experiment("command-line", "command lines with mistakes", plugins.command_line, fixed(6)),
    Experiment("plugin", "a plugin that misbehaves, on each executor (on ray, all faults of an attack in one run)",
               plugins.misbehaving, fixed(len(plugins.WAYS))),
)  # fmt: skip
