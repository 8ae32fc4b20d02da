"""The executors that come with bench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from ..hookspecs import hookimpl
from ..registry import Registry
from ..types import ExecutorRecipe
from .inline import Inline
from .local import Local


def local(workers: int | None, registry: Registry) -> Local:  # noqa: ARG001
    return Local(workers)


def inline(workers: int | None, registry: Registry) -> Inline:  # noqa: ARG001
    return Inline(registry)


def ray(
    workers: int | None,
    registry: Registry,
    address: str = "local",
    cpus: Annotated[float, Ge(0)] | None = None,
    gpus: Annotated[float, Ge(0)] | None = None,
) -> Any:
    """Connect to a Ray cluster, or start one on this machine.

    Args:
        address: `local` to start a cluster, or to join $RAY_ADDRESS if it is set; `auto` for the cluster that runs on
            this machine; else HOST:PORT.
        cpus: The CPUs that each worker reserves; its number of threads by default.
        gpus: The GPUs that each worker reserves, also a fraction; by default 1 if the device is a GPU.
    """
    from .ray import Ray

    return Ray(workers, registry, address, cpus, gpus)


@hookimpl
def bench_executors() -> Mapping[str, ExecutorRecipe]:
    return {
        "local": ExecutorRecipe(local, "Worker processes on this machine; one that dies voids only its job."),
        "ray": ExecutorRecipe(ray, "Actors on a Ray cluster, this machine's own by default.", remote=True),
        "inline": ExecutorRecipe(inline, "This process, one job after the other."),
    }
