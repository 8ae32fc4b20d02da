"""Checks the images that an attack returns, and rounds them to 8 bits if the suite quantises."""

from __future__ import annotations

from torch import Tensor

from ..errors import Fault, UsageError
from ..planning.jobs import AttackJob
from .checks import Checks
from .contracts import check_images
from .quantise import eight_bit, from_levels, unreachable


def checked_images(job: AttackJob, clean: Tensor, produced: Tensor, checks: Checks) -> Tensor:
    """Check an attack's images and return them, rounded to 8 bits if the suite quantises."""
    check_images(clean, produced, job.budget, checks)
    if not job.quantise:
        return produced
    rounded = from_levels(eight_bit(clean, produced, job.budget))
    check_images(clean, rounded, job.budget, checks)
    return rounded


def check_levels(job: AttackJob, clean: Tensor) -> None:
    """Raise UsageError if no 8-bit image is in the ball of one of the clean images."""
    distances, budget = unreachable(clean, job.budget), job.budget
    worst = int(distances.argmax())
    if distances[worst] > 0:
        image = f"image {job.batch.indices[worst] + 1} of the dataset, counted from 1"
        found = f"{image}, is {distances[worst]:.4g} from the nearest image of 8 bits in {budget.norm}"
        wrong = f"{found}, which leaves the ball of eps {budget.eps:.4g}"
        raise UsageError(Fault("quantise", "", f"{wrong} (try images of 8 bits, a larger eps, or quantise = false)"))
