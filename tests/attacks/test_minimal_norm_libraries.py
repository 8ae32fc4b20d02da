"""Minimal-norm attacks give the distances of adversarial-library and of foolbox, on the same network and images.

`pip install --no-deps adv-lib` installs the former: visdom, on which it depends, cannot be built with new setuptools.
"""

import importlib
import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor

from bench_core.norms import perturbation_size
from bench_core.types import Examples, Norm
from bench_models.embedded.recipe import FashionMnist1000
from bench_models.embedded.recipe import build as embedded

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
    assert ours("fmn", norm, growing=False) == pytest.approx(away(theirs, norm), abs=1e-9)


def test_sigma_zero(library: Any) -> None:
    theirs = sys.modules["adv_lib.attacks.sigma_zero"].sigma_zero(MODEL, GIVEN.images, GIVEN.labels, num_steps=STEPS)
    assert ours("sigma_zero", "l0") == away(theirs, "l0")


def test_carlini_wagner(library: Any) -> None:
    """The library evaluates the start again in each of its searches."""
    theirs = library.carlini_wagner_l2(
        MODEL, GIVEN.images, GIVEN.labels, max_iterations=STEPS, binary_search_steps=5, abort_early=False
    )
    found = ours("carlini_wagner", "l2", 1 + 5 * (STEPS - 1), searches=5, first_weight=1e-3)
    assert found == pytest.approx(away(theirs, "l2"), abs=1e-6)  # its weights are in float32


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_deepfool(norm: Norm, library: Any) -> None:
    """Many pixels are at a bound, so that it matters where a step is clipped."""
    theirs = library.df(MODEL, GIVEN.images, GIVEN.labels, steps=STEPS + 1, norm=ORDERS[norm])
    found = ours("deepfool", norm)
    assert found == pytest.approx(away(theirs, norm), abs=1e-6)
    assert found != pytest.approx(ours("deepfool", norm, clip_steps=False), abs=1e-6)


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
    options = {"fmn": {"growing": False}, "deepfool": {"clip_steps": False}}.get(name, {})
    assert ours(name, norm, **options) == pytest.approx(away(images, norm), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "norm", "theirs", "options"),
    [
        ("ddn", "l2", "DDNAttack", {}),
        ("fmn", "linf", "LInfFMNAttack", {"growing": False}),
        ("fmn", "l1", "L1FMNAttack", {"growing": False}),
        ("deepfool", "l2", "L2DeepFoolAttack", {"clip_steps": False}),
        ("deepfool", "linf", "LinfDeepFoolAttack", {"clip_steps": False}),
        ("carlini_wagner", "l2", "L2CarliniWagnerAttack", {"searches": 2}),
    ],
)
def test_foolbox_on_real_images(name: str, norm: Norm, theirs: str, options: dict[str, Any]) -> None:
    """In float64 and with few steps, since the searches are chaotic: after 40, the third digits of some differ."""
    foolbox = pytest.importorskip("foolbox")
    model, data, chosen, steps = embedded("ResNet-S").double(), FashionMnist1000(), range(3, 1000, 150), 8
    given = Examples(
        torch.from_numpy(data.load(chosen)).double(), torch.tensor([data.labels[i] for i in chosen]),
        tuple(data.ids[i] for i in chosen),
    )  # fmt: skip
    settings: dict[str, Any] = {"steps": steps}
    if name == "carlini_wagner":
        settings |= {"initial_const": 1.0, "binary_search_steps": 2, "abort_early": False}
        steps = 1 + 2 * (steps - 1)  # foolbox evaluates the start in each of its searches
    attack = getattr(foolbox.attacks, theirs)(**settings)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
    far, _, _ = attack(wrapped, given.images, foolbox.criteria.Misclassification(given.labels), epsilons=None)
    far = far.where((far != 0).view(len(far), -1).any(1).view(-1, 1, 1, 1), given.images)  # black if it found none
    near = run(build(name, budget(norm, eps=1e3, steps=steps), (1, 28, 28), **options), model, given)[-1]
    fooled = [model(images).argmax(1) != given.labels for images in (near, far)]
    assert fooled[0].tolist() == fooled[1].tolist()
    assert fooled[0].any()
    distances = [perturbation_size(images - given.images, norm)[fooled[0]].tolist() for images in (near, far)]
    assert distances[0] == pytest.approx(distances[1], abs=1e-5, rel=1e-3 if name == "fmn" else 1e-6)


def test_the_fmn_of_foolbox_in_l2_does_not_project() -> None:
    """Its factor is `min(1, |x| / |x|)`, so it descends in plain steps: it fools more images, from further away."""
    foolbox = pytest.importorskip("foolbox")
    attack = foolbox.attacks.L2FMNAttack(steps=STEPS)
    tensor, far = importlib.import_module("eagerpy").astensor, GIVEN.images + 0.25
    projected = attack.project(tensor(far), tensor(GIVEN.images), tensor(torch.full((len(far),), 0.01)))
    assert projected.raw.allclose(far)


@pytest.mark.parametrize(("norm", "most"), [("l2", 0.4), ("l1", 4.0)])
def test_fmn_fools_a_network_with_a_steep_margin(norm: Norm, most: float) -> None:
    """As published, it fools less than 70% of the images of the embedded VGG in 60 steps."""
    images = FashionMnist1000()
    chosen = range(0, 1000, 100)
    vgg, labels = embedded("VGG"), torch.tensor([images.labels[i] for i in chosen])
    pixels = torch.from_numpy(images.load(chosen))
    given = Examples(pixels, labels, tuple(images.ids[i] for i in chosen))
    share = {}
    for growing in (True, False):
        found = run(build("fmn", budget(norm, eps=1e3, steps=60), (1, 28, 28), growing=growing), vgg, given)[-1]
        fooled = vgg(found).argmax(1) != labels
        share[growing] = fooled.double().mean().item()
        if growing:
            assert perturbation_size(found - pixels, norm).median() < most
    assert share[True] == 1
    assert share[False] < 0.7


def test_carlini_and_wagner_with_few_steps() -> None:
    """Nine searches that begin with a weight of 0.001 fool 60% of these images or less in 100 steps."""
    images = FashionMnist1000()
    chosen = range(0, 1000, 100)
    vgg, labels = embedded("VGG"), torch.tensor([images.labels[i] for i in chosen])
    pixels = torch.from_numpy(images.load(chosen))
    given = Examples(pixels, labels, tuple(images.ids[i] for i in chosen))
    found = run(build("carlini_wagner", budget("l2", eps=1e3, steps=100), (1, 28, 28)), vgg, given)[-1]
    assert (vgg(found).argmax(1) != labels).all()
    assert perturbation_size(found - pixels, "l2").median() < 0.6


@pytest.mark.parametrize(("name", "eps", "every", "least"), [("fmn", 1.0, 100, 2), ("ddn", 1.5, 40, 12)])
def test_a_search_finds_what_is_in_a_ball_from_outside_of_it(name: str, eps: float, every: int, least: int) -> None:
    """With their radii cut at eps, FMN fooled 1 of these 10 images within it, and DDN 9 of these 25."""
    images = FashionMnist1000()
    chosen = range(0, 1000, every)
    secured, labels = embedded("VGG-adv"), torch.tensor([images.labels[i] for i in chosen])
    pixels = torch.from_numpy(images.load(chosen))
    right = secured(pixels).argmax(1) == labels
    given = Examples(pixels, labels, tuple(images.ids[i] for i in chosen))
    found = run(build(name, budget("l2", eps=eps, steps=100), (1, 28, 28)), secured, given)[-1]
    assert perturbation_size(found - pixels, "l2").max() <= eps + 1e-4
    assert ((secured(found).argmax(1) != labels) & right).sum() >= least
