"""Computes jobs one after the other in this process, for notebooks and debuggers. All workers use `attempt`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..errors import ContractError, NetworkFault, UsageError, raised
from . import Outcome, Task
from .shares import Throttled
from .tasks import TaskQueue

if TYPE_CHECKING:
    from ..registry import Registry
    from ..worker.job import Worker


def attempt(worker: Worker, task: Task, report: Callable[[float], None] = lambda _share: None) -> Outcome:
    """Compute a task. If a plugin raises or breaks its contract, the outcome has the reason and no bundle.

    Args:
        worker: What computes it.
        task: The task.
        report: Called with the share of the task that is done, at most a few times a second.
    """
    try:
        bundle = worker.compute(task.spec, list(task.wanted), Throttled(report), task.state_file, task.memory)
        return Outcome(task.address, bundle)
    except UsageError as error:
        return Outcome(task.address, reason=str(error), usage=True)
    except NetworkFault as error:
        return Outcome(task.address, reason=str(error), network=error.network)
    except ContractError as error:
        return Outcome(task.address, reason=str(error))
    except (Exception, SystemExit) as error:
        return Outcome(task.address, reason=raised(error))


class Inline:
    """The executor `inline`. It restores torch's own settings after each `run`.

    Args:
        registry: The plugins to compute with.
    """

    on_this_machine = True

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    @cached_property
    def worker(self) -> Worker:
        """Computes the tasks of every `run`, so that a network is built once."""
        from ..worker.job import Worker

        return Worker(self.registry)

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        import torch

        from ..worker.guard import set_deterministic

        threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        try:
            queue = TaskQueue.of(tasks)
            for task in queue.drain():
                yield attempt(self.worker, task, partial(queue.report, task.address))
        finally:
            torch.set_num_threads(threads)
            set_deterministic(deterministic, warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
