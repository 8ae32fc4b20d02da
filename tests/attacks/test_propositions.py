"""The theory of arXiv:2010.04055 where it can be checked: lemma 1 and the expansions behind propositions 1 and 3.

The attacks are those of the registry, on networks whose margin is a quadratic or cubic function of the image.
"""

import math
from itertools import combinations, pairwise

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.compose import Part, composed
from bench_attacks.parts.mi import mi
from bench_attacks.parts.raw import raw
from bench_attacks.parts.single_step import single_step
from bench_core.types import Budget, Examples

from .scene import run

N, M, ALPHA = 6, 5, 1e-2
generator = torch.Generator().manual_seed(4)
SLOPE = torch.rand(N, generator=generator, dtype=torch.float64) - 0.3
HALF = torch.randn(N, N, generator=generator, dtype=torch.float64)
HESSIAN = (HALF + HALF.T) / 2
CUBE = torch.randn(N, N, N, generator=generator, dtype=torch.float64)
CENTRE = torch.full((N,), 0.5, dtype=torch.float64)


class Polynomial(nn.Module):
    """The margin of the first of two classes is `g.d + d.H.d / 2 + C(d, d, d) / 6`, `d` the distance from grey."""

    def __init__(self, hessian: Tensor, cube: Tensor | None = None) -> None:
        super().__init__()
        self.hessian, self.cube = hessian, cube

    def score(self, delta: Tensor) -> Tensor:
        value = delta @ SLOPE + torch.einsum("...a,ab,...b->...", delta, self.hessian, delta) / 2
        if self.cube is not None:
            value = value + torch.einsum("...a,...b,...c,abc->...", delta, delta, delta, self.cube) / 6
        return value

    def forward(self, images: Tensor) -> Tensor:
        value = self.score(images.flatten(1) - CENTRE)
        return torch.stack([value, torch.zeros_like(value)], dim=1)


def perturbation(model: nn.Module, *parts: Part, alpha: float = ALPHA, **options: object) -> Tensor:
    given = Examples(CENTRE.view(1, 1, 2, 3), torch.tensor([1]), ("grey",))
    limits = Budget("l2", 100.0, alpha, M, loss="margin")
    reached = run(composed("", *parts).build(limits, **options), model, given)[-1]
    assert reached.min() > 0
    assert reached.max() < 1
    return (reached - given.images).flatten()


def shapley_interactions(model: Polynomial, delta: Tensor) -> Tensor:
    """Compute `I_ab` for all pairs by its sum over all subsets (app. D)."""

    def value(players: tuple[int, ...]) -> float:
        coalition = torch.zeros(N, dtype=torch.float64)
        coalition[list(players)] = 1
        return model.score(delta * coalition).item()

    interactions = torch.zeros(N, N, dtype=torch.float64)
    for a, b in combinations(range(N), 2):
        others = [i for i in range(N) if i not in (a, b)]
        for size in range(len(others) + 1):
            weight = math.factorial(size) * math.factorial(N - size - 2) / math.factorial(N - 1)
            for s in combinations(others, size):
                interactions[a, b] += weight * (value((*s, a, b)) - value((*s, b)) - value((*s, a)) + value(s))
    return interactions + interactions.T


def off_diagonal(matrix: Tensor) -> Tensor:
    return matrix - torch.diag(matrix.diag())


def expansion(hessian: Tensor, share: float, alpha: float = ALPHA) -> Tensor:
    """Eq. 23 (`share` 1/2) and eq. 40 (1/4): the first two orders in H of `I_ab`, for all pairs."""
    slope, push = SLOPE, hessian @ SLOPE
    first = alpha**2 * M**2 * torch.outer(slope, slope) * hessian
    second = share * alpha**3 * (M - 1) * M**2 * hessian * (torch.outer(slope, push) + torch.outer(push, slope))
    return off_diagonal(first + second)


def orders(errors: list[float]) -> list[float]:
    """Return the order of convergence: the power with which errors fall when a parameter is halved."""
    return [math.log2(error / halved) for error, halved in pairwise(errors)]


def test_lemma_1_is_exact_on_quadratics() -> None:
    model, delta = Polynomial(HESSIAN), perturbation(Polynomial(HESSIAN), raw)
    expected = off_diagonal(torch.outer(delta, delta) * HESSIAN)
    torch.testing.assert_close(shapley_interactions(model, delta), expected, rtol=1e-8, atol=1e-15)


def test_lemma_1_leaves_terms_above_the_second_order_on_cubics() -> None:
    model, delta = Polynomial(HESSIAN, CUBE), perturbation(Polynomial(HESSIAN), raw)
    errors = []
    for size in (1, 1 / 2, 1 / 4):
        leading = off_diagonal(torch.outer(size * delta, size * delta) * HESSIAN)
        errors.append((shapley_interactions(model, size * delta) - leading).abs().max().item())
    assert orders(errors) == pytest.approx([3, 3], abs=0.01)


@pytest.mark.parametrize(("parts", "options", "share"), [((raw,), {}, 1 / 2), ((raw, mi), {"decay": "average"}, 1 / 4)])
def test_the_expansions_hold_to_the_second_order_in_the_hessian(
    parts: tuple[Part, ...], options: dict[str, object], share: float
) -> None:
    """Equations 23 and 40: the remainder falls with the third power of H, and with another share it does not."""
    errors, wrong = [], []
    for size in (1, 1 / 2, 1 / 4, 1 / 8):
        model = Polynomial(size * HESSIAN)
        interactions = shapley_interactions(model, perturbation(model, *parts, **options))
        errors.append((interactions - expansion(size * HESSIAN, share)).abs().max().item())
        wrong.append((interactions - expansion(size * HESSIAN, 3 / 4 - share)).abs().max().item())
    assert orders(errors)[-1] == pytest.approx(3, abs=0.1)
    assert orders(wrong)[-1] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("parts", [(raw,), (raw, mi), (raw, single_step)])
def test_on_cubics_all_start_from_the_same_leading_term(parts: tuple[Part, ...]) -> None:
    """`alpha^2 m^2 g_a g_b H_ab` is common to equations 23, 24 and 40; the rest is of the third order in the step."""
    model, options = Polynomial(HESSIAN, CUBE), {"decay": "average"} if mi in parts else {}
    errors = []
    for alpha in (ALPHA / 4, ALPHA / 8, ALPHA / 16):
        delta = perturbation(model, *parts, alpha=alpha, **options)
        leading = off_diagonal(alpha**2 * M**2 * torch.outer(SLOPE, SLOPE) * HESSIAN)
        errors.append((shapley_interactions(model, delta) - leading).abs().max().item())
    assert orders(errors) == pytest.approx([3, 3], abs=0.1)


def test_the_single_step_has_equation_24_exactly() -> None:
    model = Polynomial(HESSIAN)
    delta = perturbation(model, raw, single_step)
    torch.testing.assert_close(delta, ALPHA * M * SLOPE, rtol=1e-9, atol=1e-12)
    expected = off_diagonal((ALPHA * M) ** 2 * torch.outer(SLOPE, SLOPE) * HESSIAN)
    torch.testing.assert_close(shapley_interactions(model, delta), expected, rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("seed", range(6))
def test_the_differences_have_the_sign_of_u(seed: int) -> None:
    """Propositions 1 and 3 rest on `E[U_ab] >= 0`; if it is negative, as it can be, both differences change sign."""
    half = torch.randn(N, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    hessian = 0.3 * (half + half.T) / 2
    model = Polynomial(hessian)
    multi, single, momentum = (
        shapley_interactions(model, delta).sum() / (N * (N - 1))
        for delta in (
            perturbation(model, raw),
            perturbation(model, raw, single_step),
            perturbation(model, raw, mi, decay="average"),
        )
    )
    push = hessian @ SLOPE
    u = off_diagonal(hessian * torch.outer(SLOPE, push)).sum() / (N * (N - 1))
    scale = ALPHA**3 * (M - 1) * M**2 * u
    assert (multi - single).item() == pytest.approx(scale.item(), rel=0.2)
    assert (momentum - multi).item() == pytest.approx(-scale.item() / 2, rel=0.2)


def test_u_is_positive_for_every_hessian_with_an_empty_diagonal() -> None:
    """Then `sum_ab U_ab = norm(H g)^2`, so the propositions hold without the paper's approximation `A - B = A`."""
    hessian = off_diagonal(HESSIAN)
    push = hessian @ SLOPE
    total = off_diagonal(hessian * torch.outer(SLOPE, push)).sum()
    torch.testing.assert_close(total, push @ push)
