"""The parts that a suite names in `parts = [...]`: each is a function that adds one idea to a descent.

Its keyword arguments are the options a suite may set; types, bounds and defaults are read from here.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt

from .descent import Descent
from .terms import Interaction


def ir(
    descent: Descent,
    *,
    strength: Annotated[float, Ge(0)] = 1.0,
    grid: Annotated[int, Gt(0)] = 16,
    samples: Annotated[int, Gt(0)] = 32,
    cells: Annotated[int, Gt(0)] = 32,
) -> Descent:
    """Reduce the interaction inside the perturbation (Wang et al., 2021; arXiv:2010.04055, eqs. 5 and 42)."""
    if strength == 0:  # plain gradient ascent, to the bit: no needless points in its batches
        return descent
    return descent.adding(Interaction(strength, grid, samples, cells))
