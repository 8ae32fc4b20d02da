"""Checks of what a job computes. On a GPU their measurements are read together, as each read makes the host wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import ContractError, NetworkFault, UsageError

AT_ONCE = frozenset({"cpu"})  # devices whose values the host can read without waiting

NAMED = (NetworkFault, UsageError)  # errors that already name their cause

Judge = Callable[[Sequence[float]], None]


def waits(device: torch.device) -> bool:
    """Return whether the host waits for a device when it reads a value."""
    return device.type not in AT_ONCE


class Checks:
    """The checks of a job. On a CPU each is made immediately, and on a GPU when `settle` is called.

    Leaving the block `with checks` calls `settle`, so no job returns a result that a check would reject. If the block
    raises an error that does not name its cause, the checks come first: what they find may be the cause, and is raised
    instead.

    Args:
        device: The device that computes.
        first: Checks that keep their own counts on the device. They come before all others, whose errors may follow
            from theirs: NaN in images may come from a network's gradient.
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
        """Call `judge`, which raises an error for wrong values, with measurements, float64 [k]: now or in `settle`."""
        if self.wait:
            self.measured.append((measured, judge))
            return
        for check in self.first:
            check()
        judge(measured.tolist())

    def unchanged(self, copies: Sequence[Tensor], tensors: Sequence[Tensor], error: ContractError) -> None:
        """Raise `error` unless tensors equal copies of them that were made earlier."""
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
        """Read all pending measurements, and raise the first error."""
        for check in self.first:
            check()
        waiting, self.measured = self.measured, []
        if waiting:
            found = torch.cat([measured for measured, _ in waiting]).tolist()
            for measured, judge in waiting:
                judge(found[: len(measured)])
                del found[: len(measured)]
