"""The shares of jobs that Ray's workers have done. An actor collects them, and the driver asks it now and then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Collector:
    """The actor. It keeps the last share of each task until it is asked."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}

    def put(self, address: str, share: float) -> None:
        self.shares[address] = share

    def take(self) -> dict[str, float]:
        taken, self.shares = self.shares, {}
        return taken


class RayShares:
    """The driver's end. It never waits for the actor, and without it a run is only shown by whole jobs.

    Args:
        ray: The library.
    """

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        here = ray.get_runtime_context().get_node_id()
        place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=here, soft=True)
        self.actor = ray.remote(Collector).options(num_cpus=0, max_restarts=0, scheduling_strategy=place).remote()
        self.answer = self.actor.take.remote()

    def report_to(self, report: Callable[[str, float], None]) -> None:
        """Pass on the shares that have arrived, and ask for the next ones. Raises nothing if the actor is lost."""
        if self.answer is None:
            return
        ready, _ = self.ray.wait([self.answer], timeout=0)
        if not ready:
            return
        try:
            shares = self.ray.get(ready[0])
            self.answer = self.actor.take.remote()
        except self.ray.exceptions.RayError:
            self.answer = None
            return
        for address, share in shares.items():
            report(address, share)

    def close(self) -> None:
        with suppress(Exception):
            self.ray.kill(self.actor)
