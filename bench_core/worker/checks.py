"""Checks of what a job computes, read from a GPU together: the host has to wait for whatever it reads at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import ContractError, NetworkFault, UsageError

AT_ONCE = frozenset({"cpu"})  # devices on which nothing has to wait

NAMED = (NetworkFault, UsageError)  # errors that name their cause

Judge = Callable[[Sequence[float]], None]


def waits(device: torch.device) -> bool:
    """Return whether the host waits for a device when it reads a value."""
    return device.type not in AT_ONCE


class Checks:
    """The checks of a job, made at once on a CPU, and on a GPU when `settle` is called.

    What is found late is found before its job has a result. An error that follows from it is not the one that is
    raised: leaving the block `with checks` settles them first.

    Args:
        device: The device that computes.
        first: Checks that count on the device by themselves. They come before all others, which may follow from them:
            images with NaN may come from a network's gradient.
    """

    def __init__(self, device: str = "cpu", first: Sequence[Callable[[], None]] = ()) -> None:
        self.wait, self.first = waits(torch.device(device)), first
        self.measured: list[tuple[Tensor, Judge]] = []

    def __enter__(self) -> Checks:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or (self.wait and isinstance(error, Exception) and not isinstance(error, NAMED)):
            self.settle()

    def judge(self, measured: Tensor, judge: Judge) -> None:
        """Let `judge` look at measurements, float64 [k], and raise an error for what is wrong."""
        if self.wait:
            self.measured.append((measured, judge))
            return
        for check in self.first:
            check()
        judge(measured.tolist())

    def unchanged(self, copies: Sequence[Tensor], tensors: Sequence[Tensor], error: ContractError) -> None:
        """Raise an error unless tensors equal their copies, which were made before."""
        if not self.wait or any(copy.shape != tensor.shape for copy, tensor in zip(copies, tensors, strict=True)):
            if not all(map(torch.equal, copies, tensors)):
                raise error
            return

        def judge(found: Sequence[float]) -> None:
            if any(found):
                raise error

        pairs = zip(copies, tensors, strict=True)
        differences = [(copy != tensor).any() for copy, tensor in pairs]  # NaN differs, as for torch.equal
        if differences:
            self.judge(torch.stack(differences).double(), judge)

    def settle(self) -> None:
        """Read all measurements that wait, and raise the first error."""
        for check in self.first:
            check()
        waiting, self.measured = self.measured, []
        if waiting:
            found = torch.cat([measured for measured, _ in waiting]).tolist()
            for measured, judge in waiting:
                judge(found[: len(measured)])
                del found[: len(measured)]
