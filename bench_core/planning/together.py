"""Plans which micro-batches an attack computes as one batch, so that they fill a GPU.

Results are stored and shown by micro-batch. A few small images do not fill a GPU, so there a worker attacks several
micro-batches as one batch. The batch shows in the last bits, so the images of the whole group are in the address of
each of its micro-batches. Groups are therefore planned, and depend neither on what is stored nor on the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

from .jobs import Batch
from .specs import Environment
from .uses import AttackUse

# Inputs of the network at once. Not measured on a GPU; `python -m benchmarks gpu` finds where the rate stops growing.
FILLED = {"cuda": 512, "mps": 256}
PIXELS = 64 * 224 * 224  # of all inputs at once
COUPLED = "batch_independence"  # the rule from which an attack deviates if its images depend on each other


def together(
    parts: Sequence[Batch], use: AttackUse, environment: Environment, shape: tuple[int, int, int], wanted: int | None
) -> list[Batch | None]:
    """Return for each micro-batch the batch of the group that it is computed in; None if it is computed alone.

    Args:
        parts: The micro-batches, in order; all but the last have the same size.
        use: The attack. There are no groups if its images depend on each other, or if it draws from the global
            generators.
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
