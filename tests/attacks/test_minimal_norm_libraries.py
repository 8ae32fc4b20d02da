"""Minimal-norm attacks give the distances of adversarial-library and of foolbox, on the same network and images.

`pip install --no-deps adv-lib` installs the former: visdom, on which it depends, cannot be built with new setuptools.
"""

import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor

from bench_core.norms import perturbation_size
from bench_core.types import Norm

from .scene import budget, build, examples, network, run

SHAPE = (1, 8, 8)
STEPS = 40
GIVEN, MODEL = examples(8, SHAPE), network()
ORDERS = {"linf": float("inf"), "l2": 2, "l1": 1, "l0": 0}


def ours(name: str, norm: Norm, steps: int = STEPS, **options: Any) -> list[float]:
    limits = budget(norm, eps=1e3, steps=steps)
    return away(run(build(name, limits, SHAPE, **options), MODEL, GIVEN)[-1], norm)


def away(images: Tensor, norm: Norm) -> list[float]:
    """Return the distances, infinite for images that do not fool the network."""
    fooled = MODEL(images).argmax(1) != GIVEN.labels
    distances: list[float] = perturbation_size(images - GIVEN.images, norm).where(fooled, torch.inf).tolist()
    return distances


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """adversarial-library, which imports visdom although these attacks draw nothing."""
    pytest.importorskip("adv_lib", exc_type=ImportError)
    monkeypatch.setitem(sys.modules, "visdom", types.ModuleType("visdom"))
    import adv_lib.attacks
    import adv_lib.attacks.sigma_zero

    return adv_lib.attacks


def test_ddn(library: Any) -> None:
    theirs = library.ddn(MODEL, GIVEN.images, GIVEN.labels, steps=STEPS, levels=None)
    assert ours("ddn", "l2") == pytest.approx(away(theirs, "l2"), abs=1e-5)  # its radii are in float32


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_fmn(norm: Norm, library: Any) -> None:
    theirs = library.fmn(MODEL, GIVEN.images, GIVEN.labels, ORDERS[norm], steps=STEPS)
    assert ours("fmn", norm) == pytest.approx(away(theirs, norm), abs=1e-9)


def test_sigma_zero(library: Any) -> None:
    theirs = sys.modules["adv_lib.attacks.sigma_zero"].sigma_zero(MODEL, GIVEN.images, GIVEN.labels, num_steps=STEPS)
    assert ours("sigma_zero", "l0") == away(theirs, "l0")


def test_carlini_wagner(library: Any) -> None:
    """The library evaluates the start again in each of its searches."""
    theirs = library.carlini_wagner_l2(
        MODEL, GIVEN.images, GIVEN.labels, max_iterations=STEPS, binary_search_steps=5, abort_early=False
    )
    found = ours("carlini_wagner", "l2", 1 + 5 * (STEPS - 1), searches=5)
    assert found == pytest.approx(away(theirs, "l2"), abs=1e-6)  # its weights are in float32


@pytest.mark.parametrize(
    ("name", "norm", "theirs"),
    [
        ("ddn", "l2", "DDNAttack"),
        ("fmn", "linf", "LInfFMNAttack"),
        ("fmn", "l1", "L1FMNAttack"),
        ("deepfool", "l2", "L2DeepFoolAttack"),
        ("deepfool", "linf", "LinfDeepFoolAttack"),
    ],
)
def test_foolbox(name: str, norm: Norm, theirs: str) -> None:
    foolbox = pytest.importorskip("foolbox")
    attack = getattr(foolbox.attacks, theirs)(steps=STEPS)
    wrapped = foolbox.PyTorchModel(MODEL, bounds=(0, 1))
    images, _, _ = attack(wrapped, GIVEN.images, foolbox.criteria.Misclassification(GIVEN.labels), epsilons=None)
    assert ours(name, norm) == pytest.approx(away(images, norm), abs=1e-5)
