"""What runs on a cluster's nodes: an actor that builds what jobs name and keeps it warm. It imports no ray."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import Outcome, Task

if TYPE_CHECKING:
    from ..registry import Registry
    from ..types import Json, Precision

COMPUTING = frozenset(("attacks", "metrics", "models", "datasets"))


@dataclass(frozen=True)
class Greeting:
    """What results depend on where a worker is: its code, libraries and plugins (name -> source digest, or fault)."""

    node: str
    host: str
    environment: Json
    plugins: Mapping[str, str]
    unavailable: Mapping[str, str]


class Hand:
    """Computes one task at a time. Making one costs nothing, so that what fails is said by `greet`."""

    def greet(self, device: str, precision: Precision, threads: int) -> Greeting:
        """Load all plugins, and say what is here."""
        from ..planning.host_digest import host_digest
        from ..planning.resolve import environment
        from ..registry import discover
        from ..worker.job import Worker

        registry = discover()
        self.worker = Worker(registry)
        away = {each.plugin: each.reason for each in registry.unavailable}
        return Greeting(
            platform.node(), host_digest(), environment(device, precision, threads).to_json(), plugins(registry), away
        )

    def compute(self, task: Task) -> Outcome:
        from .inline import attempt

        return attempt(self.worker, task)


def plugins(registry: Registry) -> dict[str, str]:
    """Give the source digests of the plugins that results may come from."""
    return {offer.origin.plugin: offer.origin.source for offer in registry.offers.values() if offer.kind in COMPUTING}


def differences(found: Greeting, spec: Json, wanted: Mapping[str, str]) -> list[str]:
    """Say why a worker would not compute what the plan means; none where it would."""
    told = [
        f"{name} is {found.environment.get(name)} there and {value} here"
        for name, value in spec["environment"].items()
        if found.environment.get(name) != value
    ]
    told += ["bench's own code is another there"] if found.host != spec["host"] else []
    for name, source in wanted.items():
        if name not in found.plugins:
            why = found.unavailable.get(name, "not installed")
            told.append(f"the plugin {name} is missing there ({why}); install it there, or block it here")
        elif found.plugins[name] != source:
            told.append(f"the plugin {name} has other code there")
    return told
