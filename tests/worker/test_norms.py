"""What the host measures and allows in each norm, and suites with budgets in L1 and L0."""

from typing import get_args

import numpy as np
import pytest
import torch

from bench_core import load_suite
from bench_core.errors import ContractError, UsageError
from bench_core.given.ball import size_of
from bench_core.norms import CHANGED, perturbation_size
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite, run
from bench_core.types import Budget, Norm
from bench_core.worker.contracts import check_images
from bench_core.worker.diagnostics import noise_of_size
from bench_core.worker.quantise import eight_bit, from_levels
from bench_core.worker.streams import ImageStreams


def test_sizes_are_those_of_numpy() -> None:
    delta = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    delta[:, :, 1] = 0
    delta[:, 1:, 2] = 0
    flat = delta.double().numpy().reshape(5, -1)
    for norm, order in (("linf", np.inf), ("l2", 2), ("l1", 1)):
        expected = np.linalg.norm(flat, ord=order, axis=1)
        assert perturbation_size(delta, norm).tolist() == pytest.approx(expected.tolist(), rel=1e-6)  # type: ignore[arg-type]
    assert perturbation_size(delta, "l0").tolist() == [18] * 5  # 24 pixels without a row of 6


@pytest.mark.parametrize(("norm", "eps"), [("l1", 2.0), ("l0", 3)])
def test_an_image_outside_the_ball_is_refused(norm: str, eps: float) -> None:
    clean, limits = torch.full((2, 3, 4, 4), 0.5), Budget(norm, eps, 0.1, 1)  # type: ignore[arg-type]
    images = clean.clone()
    images[1, 0, 0, :3] += {"l1": 2 / 3 - 0.3, "l0": 0.5}[norm]
    images[1, 1, 0, 0] += {"l1": 0.45, "l0": 0.5}[norm]
    images[1, 2, 0, 0] -= {"l1": 0.45, "l0": 0.0}[norm]
    check_images(clean, images + 1e-8, limits)
    images[1, 0, 3, 3] += 0.1
    with pytest.raises(ContractError, match=f"image 1 lies outside the {norm} ball"):
        check_images(clean, images, limits)


@pytest.mark.parametrize(("norm", "eps"), [("l1", 7.3), ("l0", 5)])
def test_the_noise_to_compare_with_has_the_size_of_the_budget(norm: str, eps: float) -> None:
    images = torch.rand(6, 2, 5, 5, generator=torch.Generator().manual_seed(1))
    noisy = noise_of_size(images, norm, eps, ImageStreams(0, tuple("abcdef")))  # type: ignore[arg-type]
    assert perturbation_size(noisy - images, norm).tolist() == pytest.approx([eps] * 6, rel=1e-4)  # type: ignore[arg-type]
    at_the_border = ((noisy == 0) | (noisy == 1)) & (noisy != images)
    assert at_the_border.flatten(1).sum(1).min() >= 4


def test_rounding_in_l0_changes_no_other_pixel() -> None:
    clean = (torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 255).round() / 255
    images = clean.clone()
    images[:, :, 0, :2] = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(3))
    rounded = from_levels(eight_bit(clean, images, Budget("l0", 2, 0.1, 1)))
    assert perturbation_size(rounded - clean, "l0").tolist() == [2, 2]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ('norm = "l0"\neps = 0.5', r"budgets\.linf: found eps 0\.5, but in l0 it is a number of pixels \(try 10\)"),
        ('norm = "l0"\neps = 17', r"budgets\.linf\.eps: found 17, but images of 1 x 4 x 4 have 16 pixels"),
        ('norm = "l1"\neps = 17', r"budgets\.linf\.eps: found eps 17, .* differ by at most 16 in L1"),
        ('norm = "l3"\neps = 1', r"budgets\.linf\.norm: input should be 'linf', 'l2', 'l1' or 'l0'"),
    ],
)
def test_a_budget_without_a_meaning_is_refused(new: str, message: str, write_suite, registry: Registry) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_suite(load_suite(write_suite(('norm = "linf"\neps = 0.1', new))), registry)


def test_an_attack_without_a_meaning_in_l0_is_one_line(write_suite, registry: Registry) -> None:
    suite = write_suite(('norm = "linf"\neps = 0.1', 'norm = "l0"\neps = 3'), ('recipe = "pgd"', 'recipe = "vmi"'))
    with pytest.raises(UsageError, match=r"attacks\.PGD.*found l0, in which eps counts pixels"):
        resolve_suite(load_suite(suite), registry)


@pytest.mark.parametrize(("norm", "eps"), [("l1", 2.0), ("l0", 3)])
def test_a_suite_in_the_norm_runs_and_records_its_sizes(norm: str, eps: float, write_suite, registry, tmp_path) -> None:
    suite = write_suite(('norm = "linf"\neps = 0.1', f'norm = "{norm}"\neps = {eps}'))
    result = run(load_suite(suite), out=tmp_path / "out", registry=registry, executor="inline")
    assert result.complete
    sizes = [score for score in result.scores if score.metric == f"attack.{norm}"]
    assert sizes
    assert all(0 < score.score.value <= eps * (1 + 1e-5) for score in sizes)
    assert all(score.labels["norm"] == norm for score in sizes)


def test_l0_counts_no_rounding_and_every_real_change() -> None:
    delta = torch.zeros(3, 3, 2, 2)
    delta[0, 1, 0, 0], delta[1, 1, 0, 0], delta[2, :, 1, :] = 0.9 * CHANGED, -1.1 * CHANGED, 1 / 255
    assert perturbation_size(delta, "l0").tolist() == [0, 1, 2]
    assert perturbation_size(delta.double(), "l0").dtype == torch.float64


@pytest.mark.parametrize("norm", get_args(Norm))
def test_given_images_are_measured_as_attacked_ones(norm: Norm) -> None:
    delta = torch.randn(20, 3, 4, 5, generator=torch.Generator().manual_seed(4)) * 0.1
    delta[:, :, 0] *= 1e-5  # about the threshold of L0
    found = [size_of(each.numpy(), norm) for each in delta]
    assert found == pytest.approx(perturbation_size(delta.double(), norm).tolist(), rel=1e-6)
    assert len(set(perturbation_size(delta, norm).tolist())) > 1
