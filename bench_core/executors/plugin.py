"""The executors that come with the host."""

from __future__ import annotations

from collections.abc import Mapping

from ..hookspecs import hookimpl
from ..registry import Registry
from ..types import ExecutorRecipe
from .inline import Inline
from .local import Local


def local(workers: int, registry: Registry) -> Local:  # noqa: ARG001
    return Local(workers)


def inline(workers: int, registry: Registry) -> Inline:  # noqa: ARG001
    return Inline(registry)


@hookimpl
def bench_executors() -> Mapping[str, ExecutorRecipe]:
    return {
        "local": ExecutorRecipe(local, "Worker processes on this machine; one that dies costs only its job."),
        "inline": ExecutorRecipe(inline, "This process, one job after the other."),
    }
