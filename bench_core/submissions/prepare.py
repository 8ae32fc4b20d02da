"""Prepares a verification: plans the run on this machine, finds what differs, and draws the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Fault, UsageError, stop_at_faults
from ..executors import NO_LIMITS, Limits
from ..planning.weights import missing_faults
from ..registry import Registry
from .claims import ClaimedJob, claimed_jobs, resolve_run, selection_fault, unplanned_faults
from .contents import Contents, in_one_line_each
from .differences import Differences, differences
from .limits import work_faults
from .sampling import draw
from .unpack import Unpacked


@dataclass(frozen=True)
class Request:
    """What to verify.

    Attributes:
        share: The share of the jobs.
        seed: The seed of the sample.
        alpha: The significance level of the paired test.
        device: The device; by default that of the run.
        other_code: Whether outcomes are compared even if the code differs.
        most_passes: The most passes of single images that the sample may take; None for no limit.
        limits: The memory of each job, and the time of all jobs together.
    """

    share: float = 0.05
    seed: int = 0
    alpha: float = 0.05
    device: str | None = None
    other_code: bool = False
    most_passes: int | None = None
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class Prepared:
    """A run that can be compared with what this machine computes.

    Attributes:
        differs: How the run's code and setup differ from those of this machine.
        jobs: All jobs of the run.
        known: The jobs that have values.
        sample: The jobs of `known` to recompute.
        chosen: A fault if the run attacks other images than its suite selects, a reason if this cannot be checked, or
            None.
        unplanned: A fault for each set of rows that belongs to no job.
    """

    differs: Differences
    jobs: Sequence[ClaimedJob]
    known: Sequence[ClaimedJob]
    sample: Sequence[ClaimedJob]
    chosen: Fault | str | None
    unplanned: Sequence[Fault]


def prepare(unpacked: Unpacked, contents: Contents, request: Request, registry: Registry) -> Prepared:
    """Plan a run as its record claims, compare it with this machine, and draw the sample.

    Args:
        unpacked: The run.
        contents: What its files say.
        request: What to verify.
        registry: The installed plugins.

    Raises:
        UsageError: The two cannot be compared, or the sample takes more passes than it may.
    """
    try:
        return _prepare(unpacked, contents, request, registry)
    except UsageError as error:
        raise in_one_line_each(error, unpacked) from None
    except Exception as error:  # the file is untrusted: any error that it causes is a fault of the file
        raise UsageError(Fault(unpacked.name, "", f"damaged: {type(error).__name__}: {str(error)[:200]}")) from None


def _prepare(unpacked: Unpacked, contents: Contents, request: Request, registry: Registry) -> Prepared:
    record, rows = contents.record, contents.rows
    resolved = resolve_run(record, registry, request.device)
    stop_at_faults(missing_faults(resolved.suite, resolved.missing_weights))
    if resolved.images is None:
        raise UsageError(Fault(unpacked.name, "data", resolved.data_missing))
    differs = differences(record, resolved)
    other = [*differs.inputs, *(() if request.other_code else differs.code)]
    hint = "" if differs.inputs else " (--other-code compares the outcomes all the same)"
    stop_at_faults([Fault(unpacked.name, "", f"{text}: not the same run{hint}") for text in other])
    jobs = claimed_jobs(resolved, record, rows)
    known = [job for job in jobs if job.claimed]
    if not known:
        raise UsageError(Fault(unpacked.name, "", "has no values to verify"))
    sample = draw(known, request.share, request.seed)
    drawn = f"the sample of {len(sample)} of {len(known)} micro-batches"
    hint = "(try a smaller --sample, or a larger --max-passes)"
    stop_at_faults(work_faults(resolved, [job.planned for job in sample], request.most_passes, drawn, hint))
    chosen = selection_fault(resolved, record, rows)
    return Prepared(differs, jobs, known, sample, chosen, unplanned_faults(jobs, rows))
