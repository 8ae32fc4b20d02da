"""Wall-clock time on a device, and the batch size that fills it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

ENOUGH = 1.03  # a batch that is twice as large must gain this much, or growth ends


@dataclass(frozen=True)
class Setting:
    """Where and how long to measure.

    Attributes:
        device: The device.
        tiny: Whether stand-ins replace the networks, so that every line runs in seconds on a CPU.
        turns: How often each time is measured; the median counts.
    """

    device: str
    tiny: bool = False
    turns: int = 5

    @property
    def largest(self) -> int:
        """The largest batch that is tried."""
        return 4 if self.tiny else 4096

    @property
    def side(self) -> int:
        """The side of the images in pixels."""
        return 16 if self.tiny else 224


def wait_for(device: str) -> None:
    """Wait until the device has computed everything."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds_of(compute: Callable[[], object], setting: Setting) -> float:
    """Return the median wall-clock time of a computation, after one that is not counted."""
    found = []
    for turn in range(setting.turns + 1):
        wait_for(setting.device)
        start = time.perf_counter()
        compute()
        wait_for(setting.device)
        if turn:
            found.append(time.perf_counter() - start)
    return statistics.median(found)


@dataclass(frozen=True)
class Growth:
    """The best batch size.

    Attributes:
        batch: Its images.
        rate: Images a second with it.
        fits: The largest batch that was tried and fitted.
        full: Whether the next one ran out of memory.
    """

    batch: int
    rate: float
    fits: int
    full: bool


def grow(step: Callable[[int], Callable[[], object]], setting: Setting) -> Growth:
    """Double the batch until it gains nothing, does not fit, or is the largest.

    Args:
        step: Returns the computation for a number of images.
        setting: Where to measure.

    Raises:
        torch.OutOfMemoryError: A single image does not fit.
    """
    batch, best, fits, full = 1, (0.0, 0), 0, False
    while batch <= setting.largest:
        try:
            rate = batch / seconds_of(step(batch), setting)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            full = True
            break
        finally:
            if setting.device.startswith("cuda"):
                torch.cuda.empty_cache()
        fits, before = batch, best[0]
        best = max(best, (rate, batch))
        if batch > 1 and rate < ENOUGH * before:
            break
        batch *= 2
    return Growth(best[1], best[0], fits, full)
