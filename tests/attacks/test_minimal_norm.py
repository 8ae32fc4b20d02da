"""Minimal-norm attacks against transcriptions and a linear classifier's closed form; eps bounds what they return."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.minimal_norm import MinimalNorm, fools
from bench_core.norms import perturbation_size
from bench_core.types import Examples
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter

from . import minimal_norms_by_hand as by_hand
from .minimal_norms_by_hand import Way
from .scene import budget, build, examples, network, run, streams

SEARCHES = [
    ("ddn", "l2"), ("fmn", "linf"), ("fmn", "l2"), ("fmn", "l1"), ("fmn", "l0"), ("sigma_zero", "l0"),
    ("carlini_wagner", "l2"), ("deepfool", "l2"), ("deepfool", "linf"),
]  # fmt: skip
every_search = pytest.mark.parametrize(("name", "norm"), SEARCHES)
FAR = 1e3  # an eps that bounds nothing
STEPS = 16


def distances(name: str, norm: str, model: nn.Module, given: Examples, eps: float = FAR, **options: object) -> Tensor:
    """Return the distances at which an attack fools the network, infinite where it does not."""
    steps = int(options.pop("steps", STEPS))  # type: ignore[call-overload]
    limits = budget(norm, eps=eps, steps=steps, targeted=given.targets is not None)
    attack = build(name, limits, given.images.shape[1:], **options)
    assert isinstance(attack, MinimalNorm)
    assert attack.check((1, 1, 1)) is None
    images = run(attack, model, given)[-1]
    check_images(given.images, images, limits)
    moved = fools(model(images).detach(), given)
    assert (moved | (images == given.images).flatten(1).all(1)).all()
    return perturbation_size(images - given.images, norm).where(moved, torch.inf)  # type: ignore[arg-type]


def near_boundary(targeted: bool) -> tuple[nn.Module, Examples]:
    """Return a network of which grey is on all boundaries, and images that are not far from grey."""
    model, shape = network(2), (2, 6, 6)
    model.get_parameter("5.bias").sub_(model(torch.full((1, *shape), 0.5, dtype=torch.float64))[0])
    images = 0.5 + 0.15 * torch.randn(5, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ranked = model(images.clamp(0, 1)).argsort(dim=1, descending=True)
    return model, Examples(images.clamp(0, 1), ranked[:, 0], tuple("abcde"), ranked[:, 1] if targeted else None)


@pytest.mark.parametrize("targeted", [False, True])
@every_search
def test_it_is_the_transcription(name: str, norm: str, targeted: bool) -> None:
    model, given = near_boundary(targeted)
    if targeted and not build(name, budget(norm)).search.can_target:  # type: ignore[attr-defined]
        pytest.skip("cannot be targeted")
    options: dict[str, object] = {}
    written: Callable[[Way], float] = lambda way: getattr(by_hand, name)(way, STEPS)  # noqa: E731
    if name == "carlini_wagner":
        options = {"searches": 4, "steps": 1 + 4 * 12, "first_weight": 1.0}
        written = lambda way: by_hand.carlini_wagner(way, 4, 12, 1.0)  # noqa: E731
    found = distances(name, norm, model, given, **options)
    expected = []
    for i, image in enumerate(given.images):
        target = None if given.targets is None else int(given.targets[i])
        expected.append(written(Way(model, image, int(given.labels[i]), norm, target)))
    assert found.tolist() == pytest.approx(expected, abs=1e-7)  # DeepFool adds 1e-8 to a norm
    assert found.isfinite().any()


class Linear(nn.Module):
    """A linear classifier of two classes."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layer = nn.Linear(shape[0] * shape[1] * shape[2], 2).double()
        self.layer.weight.data = torch.randn(
            self.layer.weight.shape, generator=torch.Generator().manual_seed(0)
        ).double()
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits

    @property
    def slope(self) -> Tensor:
        return self.layer.weight[1] - self.layer.weight[0]


def linear(margin: float, shape: tuple[int, int, int] = (1, 6, 6)) -> tuple[Linear, Examples]:
    """Return a linear classifier and grey images of both classes, `margin` logits from the boundary."""
    model = Linear(shape)
    images = 0.5 + 0.02 * torch.randn(6, *shape, generator=torch.Generator().manual_seed(1)).double()
    lead = torch.tensor([margin, -margin] * 3, dtype=torch.float64)
    logits = model(images)
    now = logits[:, 1] - logits[:, 0]
    change = (lead - now)[:, None] * model.slope / model.slope.square().sum()
    images = images + change.view_as(images)
    return model, Examples(images, model(images).argmax(1), tuple("abcdef"))


@every_search
def test_a_linear_classifier_has_the_distance_of_the_closed_form(name: str, norm: str) -> None:
    """The distance is `|margin| / norm*(w)` with the dual norm; in L0 the fewest values that move it so far."""
    margin = 0.4 if norm in ("linf", "l2") else 1.5
    model, given = linear(margin)
    slope = model.slope
    if norm == "l0":
        room = 0.5 * slope.abs().sort(descending=True).values  # images are grey
        fewest = 1 + int((room.cumsum(0) < margin).sum())
        found = distances(name, norm, model, given, steps=200)
        assert fewest <= found.min() <= found.max() <= fewest + 1
        return
    dual = {"linf": slope.abs().sum(), "l2": slope.norm(), "l1": slope.abs().max()}[norm].item()
    options = {"fmn": {"overshoot": 0.01}, "deepfool": {"overshoot": 0.0}, "carlini_wagner": {"steps": 700}}.get(
        name, {}
    )
    found = distances(name, norm, model, given, **{"steps": 200, **options}) / (margin / dual)  # type: ignore[arg-type]
    assert found.min() >= 1 - 1e-9
    most = {"deepfool": 1 + 1e-4 * dual / margin, "ddn": 1.05, "carlini_wagner": 1.06, "fmn": 1.01}[name]
    assert found.max() <= most + 1e-9


@every_search
def test_eps_bounds_the_search(name: str, norm: str) -> None:
    """A ball of half the distance has nothing; one of twice the distance has something in it."""
    model, given = linear(0.4 if norm in ("linf", "l2") else 4.0)
    options = {"fmn": {"overshoot": 0.01}, "carlini_wagner": {"steps": 300}}.get(name, {})
    options = {"steps": 100, **options}
    far = distances(name, norm, model, given, **options)  # type: ignore[arg-type]
    assert far.isfinite().all()
    half, twice = (float(int(share * far.max())) if norm == "l0" else share * far.max().item() for share in (0.5, 2))
    assert distances(name, norm, model, given, eps=half, **options).isinf().all()  # type: ignore[arg-type]
    assert distances(name, norm, model, given, eps=twice, **options).isfinite().all()  # type: ignore[arg-type]


@every_search
def test_an_image_that_is_wrong_already_stays_as_it_is(name: str, norm: str) -> None:
    given = examples(4)
    wrong = replace(given, labels=(given.labels + 1) % 4)
    found = distances(name, norm, network(), wrong)
    assert found.tolist() == pytest.approx([0] * 4, abs=1e-5)  # Carlini and Wagner's tanh moves black and white


@every_search
def test_its_images_never_get_further_away(name: str, norm: str) -> None:
    given, model = examples(6), network()
    steps = run(build(name, budget(norm, eps=FAR, steps=20)), model, given)
    assert len(steps) == 20
    before = torch.full((6,), torch.inf, dtype=torch.float64)
    for images in steps:
        fooled = fools(model(images), given)
        now = perturbation_size(images - given.images, norm).where(fooled, torch.inf)  # type: ignore[arg-type]
        assert (now <= before).all()
        before = now


def test_deepfool_asks_no_more_about_images_that_are_fooled() -> None:
    given, model = examples(8), network()
    attack, passes = build("deepfool", budget("l2", eps=FAR, steps=50)), PassCounter(model)
    with passes.counting():
        list(attack(model, given, streams(given)))
    assert passes.forwards <= 8 * 8  # of 8 * 51


def test_a_norm_that_a_search_cannot_minimise_is_refused() -> None:
    refused = str(build("ddn", budget("l1")).check((1, 6, 6)))  # type: ignore[attr-defined]
    assert refused == 'norm: found a budget in l1, but this attack minimises l2 (try norm = "l2", or recipe = "fmn")'
    assert "cannot be targeted" in str(build("deepfool", budget("l2", targeted=True)).check((1, 6, 6)))  # type: ignore[attr-defined]
