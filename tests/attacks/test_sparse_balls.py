"""The L1 and the L0 ball: projections against brute force and other libraries, steps, starts, and what PGD reaches."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.balls import BALLS
from bench_attacks.plugin import RECIPES
from bench_attacks.sparse import STEEPEST, project_l0, project_l1, sample_l0, sample_l1, steepest_l1
from bench_attacks.step_rng import StepRng
from bench_core.norms import perturbation_size
from bench_core.types import Budget, Examples
from bench_core.worker.contracts import check_images

from .scene import budget, build, examples, network, run, streams


def drawn(count: int, shape: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return clean images, some of them on the border of [0, 1], and perturbations that leave the image range."""
    generator = torch.Generator().manual_seed(seed)
    clean = (1.4 * torch.rand(count, *shape, generator=generator, dtype=torch.float64) - 0.2).clamp(0, 1)
    return clean, torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def by_bisection(clean: Tensor, delta: Tensor, eps: float) -> Tensor:
    """Project one perturbation: bisect the threshold by which all of its values are shortened."""
    cap = torch.where(delta > 0, 1 - clean, clean)

    def shortened(threshold: float) -> Tensor:
        return torch.minimum(cap, (delta.abs() - threshold).clamp(min=0)) * delta.sign()

    if shortened(0).abs().sum() <= eps:
        return shortened(0)
    low, high = 0.0, delta.abs().max().item()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if shortened(middle).abs().sum() > eps else (low, middle)
    return shortened(high)


@pytest.mark.parametrize("eps", [0.0, 0.01, 0.7, 3.0, 100.0])
@pytest.mark.parametrize("shape", [(1, 3, 3), (3, 4, 5)])
def test_the_projection_in_l1_is_that_of_bisection(eps: float, shape: tuple[int, int, int]) -> None:
    clean, delta = drawn(20, shape)
    found = project_l1(delta, eps, clean)
    expected = torch.stack([by_bisection(*pair, eps) for pair in zip(clean, delta, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert (clean + found).min() >= 0
    assert (clean + found).max() <= 1 + 1e-15
    assert (perturbation_size(found, "l1") <= eps + 1e-12).all()


def test_no_random_point_of_the_l1_ball_and_the_range_is_nearer() -> None:
    clean, delta = drawn(1, (1, 2, 2), seed=3)
    eps = 0.9
    found = project_l1(delta, eps, clean)
    others = torch.rand(200_000, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - clean
    inside = others[perturbation_size(others, "l1") <= eps]
    assert len(inside) > 10_000
    nearest = perturbation_size(inside - delta, "l2").min()
    assert perturbation_size(found - delta, "l2").item() <= nearest.item()
    assert nearest.item() < perturbation_size(found - delta, "l2").item() + 0.05  # so that the points are dense enough


def test_the_projection_in_l1_is_that_of_autoattack() -> None:
    """Croce and Hein's own, which projects in the image range too."""
    library = pytest.importorskip("pyautoattack.autopgd_base")
    clean, delta = drawn(30, (3, 8, 8))
    clean, delta = clean.float(), delta.float()
    change = library.L1_projection(clean, delta, 5.0)
    theirs = delta + change.view_as(delta)
    torch.testing.assert_close(project_l1(delta, 5.0, clean), theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_projection_in_l0_is_the_nearest_of_all_choices_of_pixels(channels: int, count: int) -> None:
    for clean, delta in zip(*drawn(20, (channels, 2, 3)), strict=True):
        found = project_l0(delta[None], count, clean[None])[0]
        possible = (clean + delta).clamp(0, 1) - clean
        choices = []
        for chosen in combinations(range(6), count):
            mask = torch.zeros(6, dtype=torch.bool)
            mask[list(chosen)] = True
            choices.append(possible * mask.view(1, 2, 3))
        nearest = min((choice - delta).norm().item() for choice in choices)
        assert (found - delta).norm().item() == pytest.approx(nearest)
        assert perturbation_size(found[None], "l0").item() <= count
        assert ((clean + found) >= 0).all()
        assert ((clean + found) <= 1).all()


def test_a_pixel_counts_once_whichever_of_its_channels_changed() -> None:
    delta = torch.zeros(2, 3, 2, 2)
    delta[0, :, 0, 0] = 0.5
    delta[1, 0, 0, 0] = delta[1, 2, 1, 1] = -0.1
    assert perturbation_size(delta, "l0").tolist() == [1, 2]


def test_a_step_in_l1_has_length_one_and_moves_no_blocked_value() -> None:
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(4, 3, 20, 20, generator=generator, dtype=torch.float64)
    images = torch.rand(4, 3, 20, 20, generator=generator, dtype=torch.float64).round()  # black and white
    images[3] = 0.5
    step = steepest_l1(gradient, images)
    assert perturbation_size(step, "l1").tolist() == pytest.approx([1] * 4)
    assert (step != 0).flatten(1).sum(1).tolist() == [round(STEEPEST * 1200)] * 4
    assert ((images + step).clamp(0, 1) != images)[step != 0].all()
    largest = gradient[3].abs().flatten().topk(12).indices
    assert (step[3].flatten()[largest] == gradient[3].flatten()[largest].sign() / 12).all()
    assert not steepest_l1(torch.zeros_like(gradient), images).any()


def test_a_step_in_l1_is_that_of_foolbox() -> None:
    """Sparse L1 descent (Tramer and Boneh); the numbers of values differ by one, as a quantile is interpolated."""
    foolbox = pytest.importorskip("foolbox")
    ep = pytest.importorskip("eagerpy")
    gradient = torch.randn(2, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    attack = foolbox.attacks.SparseL1DescentAttack(quantile=0.99)
    bounds = foolbox.types.Bounds(0, 1)
    theirs = attack.normalize(ep.astensor(gradient), x=ep.astensor(images), bounds=bounds).raw
    torch.testing.assert_close(steepest_l1(gradient, images), theirs)


def test_starts_are_uniform_in_the_l1_ball() -> None:
    """In d dimensions the length over eps is distributed as the largest of d uniform numbers: its mean is d / (d+1)."""
    given = examples(400, shape=(1, 3, 3))
    rng = StepRng(streams(given), 0, given.images)
    lengths = perturbation_size(sample_l1(rng, given.images, 2.0), "l1") / 2
    assert lengths.max() <= 1
    assert lengths.mean().item() == pytest.approx(9 / 10, abs=5 * 0.09 / 20)  # standard deviation 0.09
    assert (lengths**9).mean().item() == pytest.approx(1 / 2, abs=5 * 0.289 / 20)  # uniform


def test_starts_in_the_l0_ball_change_so_many_pixels_of_all_channels() -> None:
    given = examples(50, shape=(3, 4, 4))
    rng = StepRng(streams(given), 0, given.images)
    delta = sample_l0(rng, given.images, 5)
    assert perturbation_size(delta, "l0").tolist() == [5] * 50
    assert ((delta != 0).all(1) == (delta != 0).any(1)).all()
    assert 0 <= (given.images + delta).min() <= 0.05
    assert 0.95 <= (given.images + delta).max() <= 1


class Linear(nn.Module):
    """Two classes, of which the second has the logit `w x`, and the first a constant."""

    def __init__(self, shape: tuple[int, int, int], seed: int = 0) -> None:
        super().__init__()
        self.weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def forward(self, images: Tensor) -> Tensor:
        second = (images * self.weight).flatten(1).sum(1)
        return torch.stack([torch.full_like(second, 1e3), second], 1)


def gain(model: Linear, delta: Tensor) -> Tensor:
    return (delta * model.weight).flatten(1).sum(1)


def best_in_l1(model: Linear, clean: Tensor, eps: float) -> Tensor:
    """The most that a linear function gains: move values to the border, the steepest first, until eps is used up."""
    room = torch.where(model.weight > 0, 1 - clean, clean).flatten(1)
    slopes = model.weight.abs().flatten()
    order = slopes.argsort(descending=True)
    room = room[:, order]
    used = (eps - (room.cumsum(1) - room)).clamp(min=0).minimum(room)
    return (used * slopes[order]).sum(1)


def best_in_l0(model: Linear, clean: Tensor, count: int) -> Tensor:
    room = torch.where(model.weight > 0, 1 - clean, clean)
    return (room * model.weight.abs()).sum(1).flatten(1).topk(count).values.sum(1)


@pytest.mark.parametrize("norm", ["l1", "l0"])
def test_pgd_reaches_what_a_linear_network_allows(norm: str) -> None:
    shape = (3, 8, 8)
    model = Linear(shape)
    clean = torch.rand(6, *shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    given = Examples(clean, torch.zeros(6, dtype=torch.long), tuple("abcdef"))
    limits = Budget(norm, 7, {"l1": 1.0, "l0": 0.3}[norm], 60, loss="margin")  # type: ignore[arg-type]
    reached = run(RECIPES["pgd"].build(limits), model, given)[-1]
    check_images(clean, reached, limits)
    best = best_in_l1(model, clean, 7) if norm == "l1" else best_in_l0(model, clean, 7)
    share = gain(model, reached - clean) / best
    assert share.max() <= 1 + 1e-9
    assert share.min() >= {"l1": 0.98, "l0": 0.8}[norm]  # in L0, pixels that moved first tend to stay


@pytest.mark.parametrize("norm", ["l1", "l0"])
def test_noise_uses_up_its_budget(norm: str) -> None:
    given = examples(10, shape=(3, 6, 6))
    (noisy,) = run(build("noise", budget(norm, eps=5)), network(3), given)
    assert perturbation_size(noisy - given.images, norm).tolist() == pytest.approx([5] * 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["vmi", "vni", "gra", "pgn", "fgsm", "rap", "ssm", "single_step", "ops", "cwa"])
def test_an_attack_that_takes_eps_for_a_length_refuses_l0(name: str) -> None:
    refused = str(build(name, budget("l0")).check((1, 6, 6)))  # type: ignore[attr-defined]
    assert refused.startswith("norm: found l0, in which eps counts pixels")
    assert "(try " in refused
    assert build(name, budget("l1")).check((1, 6, 6)) is None  # type: ignore[attr-defined]


def test_every_ball_projects_onto_itself() -> None:
    clean, delta = drawn(8, (2, 5, 5))
    for norm, ball in BALLS.items():
        eps = {"linf": 0.2, "l2": 1.0, "l1": 4.0, "l0": 4}[norm]
        once = ball.project(delta, eps, clean)
        assert (perturbation_size(once, norm) <= eps + 1e-9).all()
        torch.testing.assert_close(ball.project(once, eps, clean), once, rtol=0, atol=1e-12)
