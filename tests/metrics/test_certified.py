"""Certification against the exact radius of a linear network, SciPy's intervals and direct counts."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from bench_core.errors import UsageError
from bench_core.statistics import clopper_pearson_lower, normal_quantile
from bench_core.types import Examples
from bench_core.worker.streams import ImageStreams
from bench_metrics.certified import SAMPLES_PER_DRAW, CertifiedAccuracy, certified_radius
from bench_models.smoothed import Smoothed
from tests.toys import CLASSES, SHAPE, toy_network

RUNS, SIDE, SIGMA = 1000, 3, 0.5


class Halfspace(nn.Module):
    """Class 1 where `w x > threshold`, else 0: smoothed, its exact radius is the distance to the plane."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.weight = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1))
        self.threshold = threshold

    def forward(self, images: Tensor) -> Tensor:
        height = images.flatten(1) @ self.weight - self.threshold
        return torch.stack([-height, height], 1)

    def radius(self, image: Tensor) -> float:
        return abs(self(image[None])[0, 1].item()) / self.weight.norm().item()


def repeated(distance: float) -> tuple[Halfspace, Examples]:
    """Return a plane, and `RUNS` copies of one image at this distance above it, each with its own noise."""
    image = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    weight = Halfspace(0).weight
    network = Halfspace(float(image.flatten() @ weight - distance * weight.norm()))
    assert network.radius(image) == pytest.approx(distance, abs=1e-5)
    labels = torch.ones(RUNS, dtype=torch.int64)
    return network, Examples(image.expand(RUNS, -1, -1, -1), labels, tuple(f"run {k}" for k in range(RUNS)))


@pytest.mark.parametrize("distance", [0.1, 0.5, 0.8])
def test_a_linear_network_is_certified_beyond_its_radius_with_probability_alpha_at_most(distance: float) -> None:
    alpha = 0.05
    network, examples = repeated(distance)
    metric = CertifiedAccuracy(SIGMA, n0=20, n=200, alpha=alpha)
    radius = metric.observe(examples, network, ImageStreams(0, examples.ids))["radius"].numpy()
    beyond = int((radius > distance).sum())
    assert beyond <= stats.binom.ppf(0.999, RUNS, alpha)
    assert beyond > 0  # a bound that is never exceeded would be too cautious
    assert np.nanmedian(radius) > 0.5 * distance or distance < 0.2


def test_on_the_boundary_it_abstains() -> None:
    network, examples = repeated(0.0)
    rows = CertifiedAccuracy(SIGMA, n0=20, n=200, alpha=0.05).observe(examples, network, ImageStreams(0, examples.ids))
    assert int((~rows["radius"].isnan()).sum()) <= stats.binom.ppf(0.999, RUNS, 0.05)


def test_the_error_is_at_most_alpha_for_every_probability() -> None:
    """Compute the probability exactly, by summing over all outcomes of n draws."""
    n, alpha = 60, 0.03
    bound = clopper_pearson_lower(np.arange(n + 1), n, alpha)
    missed = [stats.binom.pmf(np.arange(n + 1), n, p)[bound > p].sum() for p in np.linspace(0.01, 0.99, 500)]
    assert max(missed) <= alpha + 1e-12
    assert max(missed) > 0.9 * alpha


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (7, 10), (10, 10), (990, 1000), (99_000, 100_000)])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_clopper_pearson_is_the_exact_bound(k: int, n: int, alpha: float) -> None:
    actual = float(clopper_pearson_lower(k, n, alpha))
    expected = stats.binomtest(k, n, alternative="greater").proportion_ci(1 - alpha, method="exact").low
    assert actual == pytest.approx(expected, rel=1e-9)
    if k and n <= 10:
        p = Fraction(actual)
        tail = sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
        assert float(tail) == pytest.approx(alpha, rel=1e-9)


def test_the_quantile_is_the_normal_one() -> None:
    p = np.array([0.5, 0.9, 0.9986, 0.025])
    assert np.allclose(normal_quantile(p), stats.norm.ppf(p), rtol=1e-12)


def toy_examples() -> Examples:
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    return Examples(images, torch.arange(4) % CLASSES, ("a", "b", "c", "d"))


def test_votes_and_radius_equal_a_direct_computation_on_the_same_noise() -> None:
    n0, n, alpha = 15, SAMPLES_PER_DRAW + 30, 0.01
    clean, network = toy_examples(), toy_network(5)
    rows = CertifiedAccuracy(SIGMA, n0, n, alpha).observe(clean, network, ImageStreams(7, clean.ids))
    for i, name in enumerate(clean.ids):
        stream = ImageStreams(7, [name])
        first = stream.normal("certified class", 0, (n0, *SHAPE))[0]
        second = [stream.normal("certified bound", k, (m, *SHAPE))[0] for k, m in enumerate((SAMPLES_PER_DRAW, 30))]
        guesses = [network(clean.images[i : i + 1] + SIGMA * e).argmax().item() for e in first]
        best = max(range(CLASSES), key=guesses.count)
        count = sum(network(clean.images[i : i + 1] + SIGMA * e).argmax().item() == best for e in torch.cat(second))
        assert rows["votes"][i] == count
        assert rows["correct"][i] == (best == clean.labels[i])
        low = stats.binomtest(count, n, alternative="greater").proportion_ci(1 - alpha, method="exact").low
        expected = SIGMA * stats.norm.ppf(low) if low > 0.5 else np.nan
        assert rows["radius"][i].item() == pytest.approx(expected, nan_ok=True)


def test_rows_do_not_depend_on_the_batch() -> None:
    clean, network, metric = toy_examples(), toy_network(5), CertifiedAccuracy(SIGMA, 10, 40)
    together = metric.observe(clean, network, ImageStreams(0, clean.ids))
    alone = metric.observe(clean.take(slice(2, 3)), network, ImageStreams(0, clean.ids[2:3]))
    assert all(torch.equal(alone[name].nan_to_num(-1), together[name][2:3].nan_to_num(-1)) for name in together)


def test_scores_count_images_that_are_right_and_certified() -> None:
    rows = {
        "radius": np.array([0.3, 0.6, np.nan, 0.9]),
        "correct": np.array([True, True, True, False]),
        "votes": np.zeros(4),
    }
    scores = list(CertifiedAccuracy(radii=(0.0, 0.3, 0.5)).summarise(rows))
    at = {s.labels["radius"]: s.value for s in scores if s.name == "accuracy"}
    assert at == {"0": 0.5, "0.3": 0.5, "0.5": 0.25}
    named = {s.name: s.value for s in scores}
    assert named["abstained"] == 0.25
    assert named["mean_radius"] == pytest.approx((0.3 + 0.6) / 4)


def test_the_radius_grows_with_the_votes_and_the_noise() -> None:
    radius = certified_radius(np.array([50, 80, 99, 100]), 100, SIGMA, 0.001)
    assert np.isnan(radius[0])
    assert (np.diff(radius[1:]) > 0).all()
    assert radius[3] == pytest.approx(SIGMA * stats.norm.ppf(0.001 ** (1 / 100)))


def test_a_smoothed_target_has_its_own_noise() -> None:
    clean, base = toy_examples(), toy_network(5)
    target = Smoothed(base, SIGMA, 3, "soft", 0)
    rng = ImageStreams(0, clean.ids)
    of_target = CertifiedAccuracy(n0=10, n=40).observe(clean, target, rng)
    of_base = CertifiedAccuracy(SIGMA, n0=10, n=40).observe(clean, base, rng)
    assert torch.equal(of_target["votes"], of_base["votes"])
    with pytest.raises(UsageError, match=r"smoothed by 0\.5"):
        CertifiedAccuracy(0.1).observe(clean, target, rng)
    with pytest.raises(UsageError, match="not a smoothed model"):
        CertifiedAccuracy().observe(clean, base, rng)


@pytest.mark.parametrize(("n", "alpha", "needed"), [(9, 0.001, 10), (3, 0.0625, 5), (4, 0.0625, 5)])
def test_too_few_samples_to_certify_are_rejected_when_planned(n: int, alpha: float, needed: int) -> None:
    rejection = CertifiedAccuracy(SIGMA, n=n, alpha=alpha).check(SHAPE)
    assert rejection is not None
    assert str(rejection) == f"n: found {n}, which certify no image with alpha = {alpha:g} (try n = {needed} or more)"
    assert CertifiedAccuracy(SIGMA, n=needed, alpha=alpha).check(SHAPE) is None
    assert np.isnan(certified_radius(needed - 1, needed - 1, SIGMA, alpha))
    assert certified_radius(needed, needed, SIGMA, alpha) > 0


@pytest.mark.parametrize("given", [SIGMA, None])
def test_radii_out_of_reach_have_no_score(given: float | None) -> None:
    """They would be 0 for any network. With 100 samples and alpha = 0.001 an image reaches at most 1.5 sigma."""
    metric = CertifiedAccuracy(given, n=100, radii=(0.0, 0.5, 0.7, 0.76, 1.0))
    assert metric.reach == pytest.approx(float(certified_radius(100, 100, 1.0, 0.001)))
    votes = np.array([100, 90, 40, 70])
    radius = certified_radius(votes, 100, SIGMA, 0.001)
    rows = {"radius": radius, "votes": votes, "correct": np.array([True, True, True, False])}
    scores = {score.labels["radius"]: score.value for score in metric.summarise(rows) if score.name == "accuracy"}
    assert scores == {"0": 0.5, "0.5": 0.25, "0.7": 0.25}
    (note,) = metric.notes
    assert "out of reach with n = 100 and alpha = 0.001" in note
    assert ("0.76, 1" in note) == (given is not None)
    assert CertifiedAccuracy(SIGMA, n=100, radii=(0.0, 0.7)).notes == ()
