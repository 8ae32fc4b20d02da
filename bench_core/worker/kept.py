"""Keeps the images of one step of an attack, so that they can be exported."""

from __future__ import annotations

from torch import Tensor

from ..errors import ContractError
from ..queries import Queries
from ..types import Examples, Step
from .quantise import to_levels
from .rows import Arrays, checked_rows


class KeptImages:
    """Observes an attack as `Observer` does, and keeps its images as rows.

    The rows are `levels`, uint8 [n, c, h, w], where the images are rounded to 8 bits, and else `images`, float32. With
    them are `targets` [n], the classes that a targeted attack aimed at.

    Args:
        key: The key of the cell in the store.
        wanted: The step, counted from 1; None for the last.
        rounded: Whether the images are rounded to 8 bits.
    """

    def __init__(self, key: str, wanted: int | None, rounded: bool) -> None:
        self.key, self.wanted, self.rounded = key, wanted, rounded
        self.last = 0
        self.collected: list[Arrays] = []  # the rows, once the step is there

    def step(self, step: Step, clean: Examples) -> None:
        """Keep the images after a step, if it is the wanted one."""
        self.last = step.index
        if step.index == self.wanted:
            self._keep(step.images, clean)

    def end(self, adversarial: Tensor, clean: Examples, queries: Queries | None = None) -> None:  # noqa: ARG002
        """Keep the last images. Raises ContractError if the attack ended before the wanted step."""
        if self.wanted is None:
            self._keep(adversarial, clean)
        elif not self.collected:
            raise ContractError(f"the attack has {self.last} steps, so that there are no images of step {self.wanted}")

    def _keep(self, images: Tensor, clean: Examples) -> None:
        rows = {"levels": to_levels(images)} if self.rounded else {"images": images}
        if clean.targets is not None:
            rows["targets"] = clean.targets
        self.collected = [checked_rows(rows, len(images))]

    def arrays(self) -> Arrays:
        """Return the rows as arrays named KEY/ROW."""
        return {f"{self.key}/{name}": row for rows in self.collected for name, row in rows.items()}
