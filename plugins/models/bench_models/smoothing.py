"""Randomized smoothing of any network as a recipe (Cohen et al., 2019; arXiv:1902.02918)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

if TYPE_CHECKING:
    from bench_core.types import Model


def build(
    base: Any,
    sigma: Annotated[float, Gt(0)],
    n: Annotated[int, Gt(0)] = 32,
    form: Literal["soft", "votes"] = "soft",
    seed: Annotated[int, Ge(0)] = 0,
) -> Model:
    """Serve the network `base` under Gaussian noise of deviation `sigma`, in units of the image range [0, 1].

    `form` "soft" averages probabilities and has a gradient, for attacks; "votes" counts classes, for decisions. Two
    models of the same `seed` share their `n` noise samples: an attacker who is not to know the target's gets another.
    """
    from .smoothed import Smoothed

    return Smoothed(base, sigma, n, form, seed)


def identity(base: Mapping[str, Any], sigma: float, n: int, form: str, seed: int) -> Mapping[str, Any]:  # noqa: ARG001
    """Tell one smoothed network from another: however many samples stand in for it, and however they are counted."""
    return {"base": base, "sigma": sigma}
