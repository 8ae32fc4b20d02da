"""Recipes for models made of other models: ensembles, networks smoothed by noise, and those with a surrogate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from bench_core.errors import Fault, UsageError, in_grey_levels

if TYPE_CHECKING:
    from bench_core.types import Model

MOST_SIGMA = 2  # in units of the image range; published networks use at most 1


def build_ensemble(members: Sequence[Any], combine: Literal["logits", "probabilities", "losses"] = "logits") -> Model:
    """Combine several networks into one (Liu et al., 2017; arXiv:1611.02770).

    Args:
        members: The networks, which must have the same classes.
        combine: What is averaged over the members: their logits, their probabilities, or their losses.
    """
    from .ensemble import Ensemble

    return Ensemble(members, combine)


def ensemble_identity(members: Sequence[Any], combine: str) -> Mapping[str, Any]:
    """Return what defines the ensemble: the members' identities, and how they are combined."""
    return {"members": list(members), "combine": combine}


def build_smoothed(
    base: Any,
    sigma: Annotated[float, Gt(0)],
    n: Annotated[int, Gt(0)] = 32,
    form: Literal["soft", "votes"] = "soft",
    seed: Annotated[int, Ge(0)] = 0,
) -> Model:
    """Smooth a network by Gaussian noise (Cohen et al., 2019; arXiv:1902.02918).

    Args:
        base: The network to smooth.
        sigma: Standard deviation of the noise, in units of the image range [0, 1].
        n: Number of noise samples.
        form: "soft" averages probabilities and has a gradient, so it can be attacked; "votes" counts the predicted
            classes and has none.
        seed: Seed of the noise samples. Models with the same seed use the same samples. Give the source another seed
            than the target if the attacker must not know the target's samples.
    """
    from .smoothed import Smoothed

    return Smoothed(base, sigma, n, form, seed)


def smoothed_identity(base: Mapping[str, Any], sigma: float, n: int, form: str, seed: int) -> Mapping[str, Any]:  # noqa: ARG001
    """Return what defines the smoothed classifier; `n`, `form` and `seed` only say how it is approximated.

    Raises UsageError for noise in grey levels.
    """
    if sigma > MOST_SIGMA:
        raise UsageError(Fault("", "sigma", in_grey_levels("sigma", sigma)))
    return {"base": base, "sigma": sigma}


def build_with_surrogate(base: Any, surrogate: Any) -> Model:
    """Put a network that the attacker has in full beside the one that it attacks.

    Args:
        base: The network that is attacked.
        surrogate: The other one, or an ensemble of others.
    """
    from .with_surrogate import WithSurrogate

    return WithSurrogate(base, surrogate)


def surrogate_identity(base: Mapping[str, Any], surrogate: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the identities of both."""
    return {"base": base, "surrogate": surrogate}
