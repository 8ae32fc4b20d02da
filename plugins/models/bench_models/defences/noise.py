"""Gaussian noise on every input (Qin et al., 2021; arXiv:2104.11470, sec. 3).

Randomized smoothing, which averages over the noise and can be certified, is the recipe `smoothed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from bench_core.errors import Fault, UsageError, in_grey_levels
from bench_core.types import Json

from ..defence_recipe import attacker_samples, defence

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model

    from ..defended import Draws, Gradient

MOST_SIGMA = 2  # in units of the image range


@dataclass(frozen=True)
class Noise:
    """Add Gaussian noise to every pixel. The result is not clipped."""

    sigma: float
    gradient: ClassVar[Gradient] = "layer"
    random: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        return images + self.sigma * draws.normal(images.shape[1:]).to(images)


def known(sigma: float, **_options: Any) -> Json:
    """Raise UsageError for noise in grey levels."""
    if sigma > MOST_SIGMA:
        raise UsageError(Fault("", "sigma", in_grey_levels("sigma", sigma)))
    return {}


def build(
    base: Any,
    sigma: Annotated[float, Gt(0)],
    adaptive: bool = False,
    samples: Annotated[int, Gt(0)] | None = None,
    seed: Annotated[int, Ge(0)] = 0,
) -> Model:
    """Add Gaussian noise to images before a network (Qin et al., 2021; arXiv:2104.11470).

    Args:
        base: The network to defend.
        sigma: Standard deviation of the noise, in units of the image range [0, 1].
        adaptive: Whether an attacker averages over draws of the noise (EoT).
        samples: Number of draws of an adaptive attacker, by default 10.
        seed: Seed of the noise.
    """
    from ..defended import Defended

    return Defended(base, Noise(sigma), adaptive, attacker_samples(adaptive, samples), seed)


RECIPE = defence(
    build,
    "A network on images with Gaussian noise.",
    [{"sigma": 0.1}, {"sigma": 0.1, "adaptive": True, "samples": 3}],
    known=known,
)
