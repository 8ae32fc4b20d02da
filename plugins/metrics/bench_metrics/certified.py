"""Certified accuracy against radius by randomized smoothing (Cohen et al., 2019; arXiv:1902.02918)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt

from bench_core.batches import batched_forward
from bench_core.errors import Fault, UsageError, in_grey_levels
from bench_core.statistics import clopper_pearson_lower, mean, normal_quantile, proportion
from bench_core.types import Rejection

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch

SMALLEST_SIGMA = 0.25  # of usual networks
MOST_SIGMA = 2  # in units of the image range; published networks use at most 1
SAMPLES_PER_DRAW = 250  # fixed, because it decides which random numbers are drawn; batches adapt to the device instead


def noisy_votes(model: Model, image: Tensor, sigma: float, samples: int, purpose: str, rng: Streams) -> Tensor:
    """Count the predicted classes of one image under Gaussian noise (Cohen et al., SampleUnderNoise).

    Args:
        model: The network to smooth.
        image: One image [1, c, h, w].
        sigma: Standard deviation of the noise, in units of the image range.
        samples: Number of noise samples.
        purpose: Name of the random stream.
        rng: Random streams of this image.

    Returns:
        Votes for each class, int64 [classes].
    """
    total: Any = 0
    for step, start in enumerate(range(0, samples, SAMPLES_PER_DRAW)):
        noise = rng.normal(purpose, step, (min(SAMPLES_PER_DRAW, samples - start), *image.shape[1:]))[0]
        logits = batched_forward(model, image + sigma * noise.to(image))
        total = total + logits.argmax(-1).bincount(minlength=logits.shape[-1])
    return torch.as_tensor(total)


def certified_radius(votes: Any, n: int, sigma: Any, alpha: float) -> Any:
    """Compute the L2 radius within which the smoothed network keeps its class (Cohen et al., Certify).

    The radius is `sigma Phi^-1(p)`, where p is the Clopper-Pearson lower bound of the class's probability.

    Args:
        votes: Votes for the class, of any shape.
        n: Number of noise samples.
        sigma: Standard deviation of the noise, in units of the image range.
        alpha: Probability that the radius is too large, at most.

    Returns:
        Radii, shaped like `votes`; NaN, which is to abstain, where p is at most one half.
    """
    bound = clopper_pearson_lower(votes, n, alpha)
    return np.where(bound > 0.5, sigma * normal_quantile(np.maximum(bound, 0.5)), np.nan)


@dataclass(frozen=True)
class CertifiedAccuracy:
    """Share of images that the smoothed target provably classifies correctly, within each radius in L2.

    Certify: `n0` noise samples choose the class and `n` others bound its probability exactly from below. The target is
    a `smoothed` model, which has its own `sigma`, or any network, which is smoothed here. This takes n0 + n forward
    passes per image.

    Scores: `accuracy`, labelled by `radius`, counts the images of the right class whose radius is at least this, for
    radii that `n` and `alpha` can reach;
    `abstained` counts those without a class; `mean_radius` is the average certified radius, 0 if wrong or abstained
    (Zhai et al., 2020). The row `radius` is in units of the image range.

    Attributes:
        sigma: Standard deviation of the noise, in units of the image range; None to use that of the target.
        n0: Noise samples that choose the class.
        n: Noise samples that bound its probability.
        alpha: Probability that an image's radius is too large, at most.
        radii: Radii at which to report the accuracy.
    """

    sigma: Annotated[float, Gt(0)] | None = None
    n0: Annotated[int, Gt(0)] = 100
    n: Annotated[int, Gt(0)] = 1000
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.001
    radii: tuple[Annotated[float, Ge(0)], ...] = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
    scores: ClassVar = ("accuracy", "abstained", "mean_radius")
    labels: ClassVar = ("radius",)
    rows: ClassVar = ("radius",)
    deviations: ClassVar = {"missing_value": "a NaN radius means that the image abstained, which counts as wrong"}

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Reject noise in grey levels, and too few samples to certify any image."""
        if self.sigma is not None and self.sigma > MOST_SIGMA:
            return Rejection("sigma", in_grey_levels("sigma", self.sigma))
        if math.isnan(self.reach):
            needed = math.floor(math.log2(1 / self.alpha)) + 1
            found = f"found {self.n}, which certify no image with alpha = {self.alpha:g}"
            return Rejection("n", f"{found} (try n = {needed} or more)")
        return None

    @property
    def reach(self) -> float:
        """The largest radius in units of sigma, that of an image for which all votes agree; NaN if there is none."""
        bound = self.alpha ** (1 / self.n)
        return NormalDist().inv_cdf(bound) if bound > 0.5 else math.nan

    @property
    def notes(self) -> tuple[str, ...]:
        """What a plan says: the radii that no image can reach."""
        beyond = [f"{radius:g}" for radius in self.radii if self.sigma and radius > self.sigma * self.reach]
        given = f"n = {self.n} and alpha = {self.alpha:g}"
        if self.sigma is None and self.radii and max(self.radii) > self.reach * SMALLEST_SIGMA:
            return (f"radii above {self.reach:.3g} sigma are out of reach with {given}, and not shown",)
        return (f"the radii {', '.join(beyond)} are out of reach with {given}, and not shown",) if beyond else ()

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return self.n0 + self.n

    def observe(self, clean: Examples, target: Model, rng: Streams) -> Mapping[str, Tensor]:
        model, sigma = self._smoothed(target)
        chosen, votes = [], []
        for index in range(len(clean.ids)):
            image, stream = clean.images[index : index + 1], rng.take(slice(index, index + 1))
            best = noisy_votes(model, image, sigma, self.n0, "certified class", stream).argmax()
            votes.append(noisy_votes(model, image, sigma, self.n, "certified bound", stream)[best])
            chosen.append(best)
        predicted, count = torch.stack(chosen).cpu(), torch.stack(votes).cpu()
        radius = certified_radius(count.numpy(), self.n, sigma, self.alpha)
        return {
            "votes": count,
            "correct": predicted == clean.labels.cpu(),
            "radius": torch.from_numpy(radius),
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        certified, abstained = np.nan_to_num(rows["radius"]), np.isnan(rows["radius"])
        right = rows["correct"].astype(bool) & ~abstained
        for radius in (radius for radius in self.radii if radius <= self._largest(rows)):
            yield proportion("accuracy", right & (certified >= radius), {"radius": f"{radius:g}"})
        yield proportion("abstained", abstained)
        yield mean("mean_radius", certified * right)

    def _largest(self, rows: Rows) -> float:
        """Return the largest radius that an image can have; infinite if it is unknown, as all images abstained."""
        if self.sigma is not None:
            return self.sigma * self.reach
        at_one = certified_radius(rows["votes"], self.n, 1.0, self.alpha)
        sigmas = (rows["radius"] / at_one)[~np.isnan(at_one)]  # of the target, the same for every image
        return float(sigmas.max() * self.reach * (1 + 1e-9)) if len(sigmas) else math.inf

    def _smoothed(self, target: Model) -> tuple[Model, float]:
        """Return the network to add noise to, and the noise. Raises UsageError if `sigma` is missing or contradicts."""
        own = getattr(target, "sigma", None)
        if own is None and self.sigma is None:
            message = "missing, because the target is not a smoothed model (try sigma = 0.25)"
            raise UsageError(Fault("certified", "sigma", message))
        if own is not None and self.sigma not in (None, own):
            message = f"found {self.sigma:g}, but the target is smoothed by {own:g} (remove one)"
            raise UsageError(Fault("certified", "sigma", message))
        return (target, self.sigma) if own is None else (target.base, own)  # type: ignore[return-value]


METRIC = CertifiedAccuracy
EXAMPLES = [{"sigma": 0.25, "n0": 10, "n": 20}]
