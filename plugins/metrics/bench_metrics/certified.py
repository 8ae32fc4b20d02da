"""Certified accuracy against radius by randomized smoothing (Cohen et al., 2019; arXiv:1902.02918)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt

from bench_core.batches import answered
from bench_core.errors import Fault, UsageError
from bench_core.statistics import clopper_pearson_lower, mean, normal_quantile, proportion

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch

AT_ONCE = 250  # noise samples; part of which numbers are drawn, so no matter of the device


def noisy_votes(base: Model, image: Tensor, sigma: float, draws: int, purpose: str, rng: Streams) -> Tensor:
    """Count the classes of one image [1, c, h, w] under `draws` fresh noise samples (SampleUnderNoise), [classes]."""
    total: Any = 0
    for step, start in enumerate(range(0, draws, AT_ONCE)):
        noise = rng.normal(purpose, step, (min(AT_ONCE, draws - start), *image.shape[1:]))[0]
        logits = answered(base, image + sigma * noise.to(image))
        total = total + logits.argmax(-1).bincount(minlength=logits.shape[-1])
    return torch.as_tensor(total)


def certified_radius(votes: Any, n: int, sigma: Any, alpha: float) -> Any:
    """Give the radius in L2 within which the smoothed network keeps its class, with confidence 1 - `alpha`.

    `sigma Phi^-1(p)`, p the exact lower bound by Clopper and Pearson of the class's probability, which got `votes` of
    `n` (Cohen et al., alg. CERTIFY); NaN, which is to abstain, where p is not above one half.
    """
    bound = clopper_pearson_lower(votes, n, alpha)
    return np.where(bound > 0.5, sigma * normal_quantile(np.maximum(bound, 0.5)), np.nan)


@dataclass(frozen=True)
class CertifiedAccuracy:
    """Share of images that the smoothed target provably classifies correctly, within each radius in L2.

    CERTIFY: `n0` noise samples choose the class and `n` others bound its probability from below, exactly, so that each
    image's radius, in units of the image range, is too large with probability at most `alpha`. The target is a
    `smoothed` model, of its own `sigma`; or any network, smoothed here by `sigma`. n0 + n forwards an image.

    `accuracy` at each of `radii` counts the images of the right class whose radius is no smaller; `abstained` those
    without a class; `mean_radius` is the average certified radius, 0 where wrong or abstained (Zhai et al., 2020).
    """

    sigma: Annotated[float, Gt(0)] | None = None
    n0: Annotated[int, Gt(0)] = 100
    n: Annotated[int, Gt(0)] = 1000
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.001
    radii: tuple[Annotated[float, Ge(0)], ...] = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
    scores: ClassVar = ("accuracy", "abstained", "mean_radius")
    labels: ClassVar = ("radius",)
    rows: ClassVar = ("radius",)
    deviations: ClassVar = {"missing_value": "a radius that is NaN says that it abstained, which counts as wrong"}

    @property
    def forwards(self) -> float:
        """Give the passes of one image."""
        return self.n0 + self.n

    def observe(self, clean: Examples, target: Model, rng: Streams) -> Mapping[str, Tensor]:
        base, sigma = self._smoothed(target)
        chosen, votes = [], []
        for index in range(len(clean.ids)):
            image, own = clean.images[index : index + 1], rng.take(slice(index, index + 1))
            best = noisy_votes(base, image, sigma, self.n0, "certified class", own).argmax()
            votes.append(noisy_votes(base, image, sigma, self.n, "certified bound", own)[best])
            chosen.append(best)
        predicted, count = torch.stack(chosen).cpu(), torch.stack(votes).cpu()
        radius = certified_radius(count.numpy(), self.n, sigma, self.alpha)
        return {
            "votes": count,
            "correct": predicted == clean.labels.cpu(),
            "radius": torch.from_numpy(radius),
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        radius, abstained = np.nan_to_num(rows["radius"]), np.isnan(rows["radius"])
        right = rows["correct"].astype(bool) & ~abstained
        for each in self.radii:
            yield proportion("accuracy", right & (radius >= each), {"radius": f"{each:g}"})
        yield proportion("abstained", abstained)
        yield mean("mean_radius", radius * right)

    def _smoothed(self, target: Model) -> tuple[Model, float]:
        """Give the network under the noise, and the noise. Raises UsageError where it is unclear which."""
        own = getattr(target, "sigma", None)
        if own is None and self.sigma is None:
            raise UsageError(Fault("certified", "sigma", "missing: the target is no smoothed model, so give one"))
        if own is not None and self.sigma not in (None, own):
            raise UsageError(
                Fault(
                    "certified", "sigma", f"found {self.sigma:g}, but the target is smoothed by {own:g} (leave one out)"
                )
            )
        return (target, self.sigma) if own is None else (target.base, own)  # type: ignore[return-value]
