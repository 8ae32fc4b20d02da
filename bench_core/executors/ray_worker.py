"""The actor that computes on a node of a Ray cluster and keeps its models loaded. This module imports no ray."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import Outcome, Task

if TYPE_CHECKING:
    from ..registry import Registry
    from ..types import Json, Precision

COMPUTING = frozenset(("attacks", "metrics", "models", "datasets"))


@dataclass(frozen=True)
class WorkerInfo:
    """What the results of a worker depend on.

    Attributes:
        node: The name of its machine.
        host: The digest of bench's own code there.
        environment: Libraries, device and number type, as JSON.
        plugins: The source digests of the plugins, by name.
        unavailable: Why the other plugins cannot be loaded there, by name.
    """

    node: str
    host: str
    environment: Json
    plugins: Mapping[str, str]
    unavailable: Mapping[str, str]


class RayWorker:
    """Computes one task at a time. `start` loads the plugins, not the constructor, so that ray reports its errors."""

    def start(self, device: str, precision: Precision, threads: int) -> WorkerInfo:
        """Load all plugins, and return what the results depend on here."""
        from ..planning.host_digest import host_digest
        from ..planning.resolve import environment
        from ..registry import discover
        from ..worker.job import Worker

        registry = discover()
        self.worker = Worker(registry)
        return WorkerInfo(
            node=platform.node(),
            host=host_digest(),
            environment=environment(device, precision, threads).to_json(),
            plugins=plugins(registry),
            unavailable={plugin.plugin: plugin.reason for plugin in registry.unavailable},
        )

    def compute(self, task: Task, collector: Any) -> Outcome:
        """Compute a task. `collector` is the handle of the actor that gets the share that is done, if any."""
        from .inline import attempt

        def report(share: float) -> None:
            if collector is not None:
                collector.put.remote(task.address, share)

        return attempt(self.worker, task, report)


def plugins(registry: Registry) -> dict[str, str]:
    """Return the source digests of the plugins that results may depend on, by name."""
    return {offer.origin.plugin: offer.origin.source for offer in registry.offers.values() if offer.kind in COMPUTING}


def differences(found: WorkerInfo, spec: Json, wanted: Mapping[str, str]) -> list[str]:
    """Return why a worker would compute other results than planned.

    Args:
        found: What the worker has.
        spec: A job of the plan, as JSON.
        wanted: The source digests of this machine's plugins, by name.

    Returns:
        One message for each difference; empty if there is none.
    """
    messages = [
        f"{name} is {found.environment.get(name)} there and {value} here"
        for name, value in spec["environment"].items()
        if found.environment.get(name) != value
    ]
    if found.host != spec["host"]:
        messages.append("bench's own code is different there (install the same release)")
    for name, source in wanted.items():
        if name not in found.plugins:
            reason = found.unavailable.get(name, "not installed")
            messages.append(f"the plugin {name} is missing there ({reason}); install it there, or block it here")
        elif found.plugins[name] != source:
            messages.append(f"the plugin {name} has different code there")
    return messages
