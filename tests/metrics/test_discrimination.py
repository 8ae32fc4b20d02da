"""Discriminating adversarial from clean images: against known Gaussians, scikit-learn, loops, enumerated games."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bench_core.types import Examples, Score
from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.games import CellGame, all_coalitions
from bench_metrics.coalitions.image_games import log_prob
from bench_metrics.coalitions.shapley import pairwise_by_order
from bench_metrics.order_separation import OrderSeparation
from bench_metrics.rank_interaction import RankInteraction, cut_to_rank, kept_rank
from bench_metrics.shapley_detection import ShapleyDetection
from bench_metrics.shared.discrimination import auroc, fisher
from bench_metrics.spectrum import SpectrumSeparation, radial_magnitude
from tests.toys import toy_network

from .table_games import TableGame, shapley_by_order


def numbers(n: int, shift: float = 0.0, seed: int = 0, shared: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of Gaussian numbers of variance 1 with correlation `shared`, whose means differ by `shift`."""
    random = np.random.default_rng(seed)
    common, first, second = random.standard_normal((3, n))
    mixed = (math.sqrt(shared) * common + math.sqrt(1 - shared) * part for part in (first, second))
    clean, adversarial = mixed
    return clean, adversarial + shift


def test_fisher_of_known_gaussians() -> None:
    score = fisher(*numbers(2_000, shift=1.5), {})
    assert score.value == pytest.approx(1.5**2 / 2, rel=0.15)
    assert score.low < 1.5**2 / 2 < score.high
    shifted = fisher(*(1e6 + 3 * values for values in numbers(2_000, shift=1.5)), {})
    assert shifted.value == pytest.approx(score.value, rel=1e-6), "independent of location and scale"


def test_fisher_subtracts_the_sampling_variance() -> None:
    clean, adversarial = numbers(2_000, shift=1.5)
    random = np.random.default_rng(1)
    noisy = [values + scale * random.standard_normal(2_000) for values, scale in ((clean, 1.0), (adversarial, 0.5))]
    assert fisher(*noisy, {}).value == pytest.approx(1.5**2 / 3.25, rel=0.15)
    assert fisher(*noisy, {}, sampling=np.full(2_000, 1.25)).value == pytest.approx(1.5**2 / 2, rel=0.15)
    assert math.isnan(fisher(*noisy, {}, sampling=np.full(2_000, 9.0)).value), "no variance left"
    assert math.isnan(fisher(np.ones(5), np.ones(5), {}).value)


def test_auroc_equals_scikit_learns_including_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(20):
        clean, adversarial = (np.round(values, 1) for values in numbers(30, shift=0.5, seed=seed))
        truth = np.repeat([0, 1], 30)
        score = auroc(clean, adversarial, {})
        assert score.value == pytest.approx(metrics.roc_auc_score(truth, np.concatenate([clean, adversarial])))
        assert score.per_image is not None
        assert score.per_image.mean() == pytest.approx(score.value)
        assert score.low < score.value < score.high


def test_auroc_of_perfect_separation_and_of_constants() -> None:
    clean, adversarial = numbers(40)
    above = auroc(clean, adversarial + 100, {})
    assert above.value == above.high == 1
    assert 0.8 < above.low < 1
    below = auroc(clean, adversarial - 100, {})
    assert below.value == below.low == 0
    same = auroc(np.ones(10), np.ones(10), {})
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("shared", [0.0, 0.9])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_intervals_of_auroc_cover_the_truth_for_correlated_pairs(shared: float, shift: float) -> None:
    truth = 0.5 * (1 + math.erf(shift / 2))  # two Gaussians, whose difference has the variance 2
    scores = [auroc(*numbers(60, shift, seed, shared), {}) for seed in range(1000)]
    assert 0.93 <= np.mean([score.low <= truth <= score.high for score in scores]) <= 0.97


def wave(side: int, down: int, right: int) -> Tensor:
    position = torch.arange(side).double() / side
    return torch.cos(2 * math.pi * (down * position[:, None] + right * position[None]))[None, None]


def test_a_wave_is_at_the_radius_of_its_frequency() -> None:
    magnitude = radial_magnitude(wave(16, 3, 4))
    assert magnitude.argmax().item() == 5
    assert magnitude[0, 5].item() == pytest.approx(wave(16, 3, 4).norm().item())
    assert magnitude[0].norm().item() == pytest.approx(magnitude[0, 5].item())


def test_the_spectrum_satisfies_parseval_and_equals_a_loop_over_frequencies() -> None:
    images = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0)).double()
    magnitude = radial_magnitude(images)
    torch.testing.assert_close(magnitude.norm(dim=1), images.flatten(1).norm(dim=1))
    expected: dict[int, float] = {}
    for u in range(-3, 3):
        for v in range(-4, 4):
            for channel in images[0]:
                angle = 2j * math.pi * (u * np.arange(6)[:, None] / 6 + v * np.arange(8)[None] / 8)
                amplitude = (channel.numpy() * np.exp(-angle)).sum() / math.sqrt(48)
                radius = round(math.hypot(u, v))
                expected[radius] = expected.get(radius, 0.0) + abs(amplitude) ** 2
    assert magnitude[0].tolist() == pytest.approx([math.sqrt(expected[radius]) for radius in sorted(expected)])


def scene(n: int = 3, side: int = 4) -> tuple[Examples, Tensor, ImageStreams, Tensor]:
    images = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(3))
    adversarial = (images + 0.2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(4))).clamp(0, 1)
    ids = tuple(map(str, range(n)))
    return Examples(images, torch.arange(n) % 3, ids), adversarial, ImageStreams(0, ids), images.mean(0)


def arrays(rows: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: row.numpy() for name, row in rows.items()}


def named(scores: object) -> dict[tuple[object, ...], Score]:
    return {(score.name, *score.labels.values()): score for score in scores}  # type: ignore[attr-defined]


def test_the_spectrum_discriminates_at_the_changed_frequency_only() -> None:
    clean = wave(16, 1, 0).repeat(30, 1, 1, 1) + torch.randn(30, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    given = Examples(clean, torch.zeros(30, dtype=torch.long), tuple(map(str, range(30))))
    metric = SpectrumSeparation()
    scores = named(metric.summarise(arrays(metric.observe(given, clean + 2 * wave(16, 6, 0)))))
    assert scores["auroc", "6"].value == 1
    assert scores["fisher", "6"].value > 1
    assert scores["auroc", "3"].value == pytest.approx(0.5, abs=0.01)
    assert scores["fisher", "3"].value == pytest.approx(0, abs=1e-12)
    assert scores["magnitude", "6", "adversarial"].value > scores["magnitude", "6", "clean"].value


def exact(images: Tensor, classes: Tensor, data_mean: Tensor, order: int) -> Tensor:
    """The mean over pairs of `I^(m)` of every image, by enumerating all sets of its four cells."""
    absent = data_mean.mean().expand_as(images)
    by_pair = pairwise_by_order(CellGame(toy_network(2), images, absent, 2, log_prob, classes))
    return by_pair[:, order].double().sum((1, 2)) / 12


def test_order_separation_estimates_the_interactions_of_both_images() -> None:
    clean, adversarial, rng, average = scene()
    metric = OrderSeparation(grid=2, orders=(0, 1, 2), pairs=600)
    rows = metric.observe(clean, adversarial, toy_network(2), rng, average)
    for order in range(3):
        for which, images in enumerate((clean.images, adversarial)):
            off = (rows["interaction"][:, order, which] - exact(images, clean.labels, average, order)).abs()
            assert (off < 4.5 * rows["error"][:, order, which] + 1e-6).all()
    scores = named(metric.summarise(arrays(rows)))
    for order in range(3):
        on_clean, on_adversarial = rows["interaction"][:, order].numpy().T
        assert scores["auroc", f"{order}"].value == auroc(on_clean, on_adversarial, {}).value
        assert scores["fisher", f"{order}"].value == pytest.approx(fisher(on_clean, on_adversarial, {}).value)
        assert scores["fisher_exact", f"{order}"].value > scores["fisher", f"{order}"].value


def test_the_lowest_and_highest_shapley_order_are_exact_and_about_the_predicted_class() -> None:
    clean, adversarial, rng, average = scene()
    network, metric = toy_network(2), ShapleyDetection(grid=2, orders=(0, 3), contexts=2)
    rows = metric.observe(clean, adversarial, network, rng, average)
    for which, images in enumerate((clean.images, adversarial)):
        game = CellGame(network, images, average.mean().expand_as(images), 2, log_prob, network(images).argmax(1))
        table = TableGame(game(all_coalitions(4)[None]))
        expected = shapley_by_order(table)[:, [0, 3]].float()
        torch.testing.assert_close(rows["phi"][..., which], expected, rtol=1e-4, atol=1e-5)
    scores = named(metric.summarise(arrays(rows)))
    phi = rows["phi"].double().numpy()[:, 1]
    for statistic, reduced in {
        "mean": np.mean,
        "deviation": np.std,
        "interquartile": lambda row: np.quantile(row, 0.75) - np.quantile(row, 0.25),
    }.items():
        on_clean, on_adversarial = ([reduced(image[:, which]) for image in phi] for which in (0, 1))
        assert scores["auroc", "3", statistic].value == auroc(on_clean, on_adversarial, {}).value


def test_a_cut_image_is_the_nearest_of_its_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(2, 3, 8, 2, generator=generator) @ torch.rand(2, 3, 2, 12, generator=generator)
    torch.testing.assert_close(cut_to_rank(low, 0.25), low)
    image = torch.rand(1, 1, 8, 12, generator=generator).double()
    cut = cut_to_rank(image, 0.25)
    assert torch.linalg.matrix_rank(cut).item() == 2
    strengths = torch.linalg.svdvals(image)[0, 0]
    assert (image - cut).norm().item() == pytest.approx(strengths[2:].norm().item()), "Eckart and Young"
    torch.testing.assert_close(cut_to_rank(image, 1.0), image)
    assert [kept_rank(share, 28) for share in (1, 1 / 4, 1 / 16, 0.001)] == [28, 7, 2, 1]


def test_rank_interaction_estimates_every_cut_of_both_images() -> None:
    clean, adversarial, rng, average = scene()
    metric = RankInteraction(ranks=(1.0, 0.5), grid=2, orders=(1,), pairs=1500)
    rows = metric.observe(clean, adversarial, toy_network(2), rng, average)
    scores = named(metric.summarise(arrays(rows)))
    for which, images in {"clean": clean.images, "adversarial": adversarial}.items():
        for rank in ("1", "0.5"):
            expected = exact(cut_to_rank(images, float(rank)), clean.labels, average, 1)
            assert scores["interaction", rank, "1", which].per_image == pytest.approx(expected.numpy(), abs=0.05)
        change = scores["interaction", "0.5", "1", which].value - scores["interaction", "1", "1", which].value
        assert scores["effect", "0.5", "1", which].value == pytest.approx(change)
        assert scores["effect", "1", "1", which].value == 0
    on_clean, on_adversarial = (scores["interaction", "0.5", "1", name].value for name in ("clean", "adversarial"))
    assert scores["change", "0.5", "1"].value == pytest.approx(on_clean - on_adversarial)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (RankInteraction(ranks=(0.5,), grid=2), "ranks: found [0.5]"),
        (RankInteraction(ranks=(1.0, 0.25, 0.2), grid=2), "ranks: found [1.0, 0.25, 0.2], which are the ranks [4"),
        (RankInteraction(ranks=(1.0, 0.5), grid=3), "grid: found 3"),
        (OrderSeparation(grid=2, orders=(3,)), "orders: found 3"),
        (ShapleyDetection(grid=2, orders=(4,)), "orders: found 4"),
    ],
)
def test_impossible_options_are_rejected(metric: object, message: str) -> None:
    assert metric.check((1, 4, 4)).startswith(message)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "metric",
    [
        OrderSeparation(grid=2, orders=(0, 1, 2), pairs=5),
        ShapleyDetection(grid=2, orders=(0, 1, 3), contexts=3),
        RankInteraction(ranks=(1.0, 0.5), grid=2, orders=(0, 1), pairs=5),
    ],
)
def test_the_stated_forward_passes_are_those_taken(metric: object) -> None:
    from bench_core.worker.instrument import PassCounter

    clean, adversarial, rng, average = scene()
    passes = PassCounter(network := toy_network(2))
    with passes.counting(), torch.no_grad():
        metric.observe(clean, adversarial, network, rng, average)  # type: ignore[attr-defined]
    assert passes.forwards / 3 == metric.forwards  # type: ignore[attr-defined]


def test_rows_do_not_depend_on_the_batch() -> None:
    clean, adversarial, rng, average = scene()
    for metric in (OrderSeparation(grid=2, orders=(1,), pairs=9), ShapleyDetection(grid=2, orders=(1,), contexts=3)):
        together = metric.observe(clean, adversarial, toy_network(2), rng, average)
        for i in range(3):
            row = slice(i, i + 1)
            alone = metric.observe(clean.take(row), adversarial[row], toy_network(2), rng.take(row), average)
            for name in together:
                torch.testing.assert_close(alone[name], together[name][row], rtol=1e-4, atol=1e-5)
