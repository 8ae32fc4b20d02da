"""Which micro-batches go through an attack together, so that they fill a GPU.

A micro-batch is what is stored and shown at once. A GPU computes 25 small images in the time of one, so there a worker
attacks several micro-batches as one batch. What is computed at once shows in the last bits, so the images of all of
them are in the address of each: which they are is planned, and depends neither on what is stored nor on the card.
"""

from __future__ import annotations

from collections.abc import Sequence

from .jobs import Batch
from .specs import Environment
from .uses import AttackUse

# Inputs of the network at once. Not measured on a card; `python -m benchmarks gpu` finds where the rate stops growing.
FILLED = {"cuda": 512, "mps": 256}
PIXELS = 64 * 224 * 224  # of all inputs at once, however small the number of images
COUPLED = "batch_independence"  # the rule that an attack declares it cannot keep if its images depend on each other


def together(
    parts: Sequence[Batch], use: AttackUse, environment: Environment, shape: tuple[int, int, int], wanted: int | None
) -> list[Batch | None]:
    """Return for each micro-batch the images that go through at once, its own among them; None if it goes alone.

    Args:
        parts: The micro-batches, in order; all but the last have the same size.
        use: The attack. One that couples its images, or draws from the global generators, takes them alone.
        environment: Where it is computed.
        shape: The shape (c, h, w) of an image.
        wanted: The number of images to take at once; by default what fills the device.
    """
    if not parts or use.global_seed or COUPLED in use.deviations:
        return [None] * len(parts)
    count = (wanted or fills(environment.device, use, shape)) // len(parts[0])
    found: list[Batch | None] = []
    for start in range(0, len(parts), max(1, count)):
        group = parts[start : start + max(1, count)]
        found += [joined(group) if len(group) > 1 else None] * len(group)
    return found


def fills(device: str, use: AttackUse, shape: tuple[int, int, int]) -> int:
    """Return how many images fill a device, given how many inputs an attack makes of each; 1 for a CPU."""
    pixels = shape[1] * shape[2]
    inputs = min(FILLED.get(device.partition(":")[0], 1), max(1, PIXELS // pixels))
    each = use.cost.forwards_once + use.cost.forwards * use.budget.steps
    return int(inputs / max(1.0, each / use.budget.steps))


def joined(parts: Sequence[Batch]) -> Batch:
    """Return the images of consecutive micro-batches as one batch."""
    first = parts[0]
    return Batch(
        first.data,
        tuple(index for part in parts for index in part.indices),
        tuple(each for part in parts for each in part.ids),
        tuple(label for part in parts for label in part.labels),
        None if first.targets is None else tuple(target for part in parts for target in part.targets or ()),
    )
