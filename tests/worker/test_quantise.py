"""Images of 8 bits: the nearest levels, inside the ball, and those are what metrics judge."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench_core import run
from bench_core.hookspecs import hookimpl
from bench_core.norms import TOLERANCE, perturbation_size
from bench_core.registry import Origin, Registry
from bench_core.types import Budget, Examples, MetricRecipe, Score, Step
from bench_core.worker.contracts import check_images
from bench_core.worker.quantise import eight_bit, from_levels, nearest_in_l2_ball, unreachable
from tests.properties import UNTIMED


def budget(norm: str, eps: float) -> Budget:
    return Budget(norm, eps, eps, 1)  # type: ignore[arg-type]


def images_in_balls(seed: int, shape: tuple[int, ...], norm: str, eps: float, on_levels: bool) -> tuple[Tensor, Tensor]:
    """Clean images and images on the surface of the balls around them, or as near to it as [0, 1] allows."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(shape, generator=generator)
    clean = (clean * 255).round() / 255 if on_levels else clean
    delta = torch.randn(shape, generator=generator)
    delta = delta.sign() if seed % 3 == 0 else delta  # as of FGSM, where all pixels tie
    size = perturbation_size(delta, norm).view(-1, *[1] * (len(shape) - 1))
    return clean, (clean + eps * delta / size).clamp(0, 1)


def eps_with_room(norm: str, eps: float, clean: Tensor) -> float:
    """A radius of at least `eps` that has images of 8 bits in every ball."""
    return eps + float(perturbation_size((clean * 255).round() / 255 - clean, norm).amax())


CASES = given(
    seed=st.integers(0, 2**31),
    channels=st.sampled_from([1, 3]),
    norm=st.sampled_from(["linf", "l2", "l1"]),
    eps=st.floats(0.001, 0.5),
    on_levels=st.booleans(),
)


@settings(UNTIMED, max_examples=200)
@CASES
def test_never_leaves_the_ball(seed: int, channels: int, norm: str, eps: float, on_levels: bool) -> None:
    clean, images = images_in_balls(seed, (3, channels, 4, 5), norm, eps, on_levels)
    allowed = budget(norm, eps_with_room(norm, eps, clean))
    found = from_levels(eight_bit(clean, images, allowed))
    check_images(clean, found, allowed)
    exact = perturbation_size(found.double() - clean.double(), norm)
    assert (exact <= allowed.eps * (1 + TOLERANCE) + TOLERANCE).all()


@settings(UNTIMED, max_examples=200)
@CASES
def test_a_file_read_again_holds_the_same_images(
    seed: int, channels: int, norm: str, eps: float, on_levels: bool
) -> None:
    """Also if it is rounded again, alone or in a batch."""
    clean, images = images_in_balls(seed, (3, channels, 4, 5), norm, eps, on_levels)
    allowed = budget(norm, eps_with_room(norm, eps, clean))
    levels = eight_bit(clean, images, allowed)
    assert torch.equal(eight_bit(clean, from_levels(levels), allowed), levels)
    for row in range(3):
        assert torch.equal(eight_bit(clean[row : row + 1], images[row : row + 1], allowed), levels[row : row + 1])


@settings(UNTIMED, max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.002, 0.2), st.booleans(), st.sampled_from([1, 3]))
def test_linf_takes_the_nearest_level_inside_the_ball(seed: int, eps: float, on_levels: bool, channels: int) -> None:
    """Against a search over all 256 levels."""
    clean, images = images_in_balls(seed, (2, channels, 3, 3), "linf", eps, on_levels)
    found = from_levels(eight_bit(clean, images, budget("linf", eps)))
    levels = torch.arange(256) / 255
    distance = (images[..., None] - levels).abs()
    inside = (clean[..., None] - levels).abs() <= eps + TOLERANCE / 2
    assert inside.any(-1).all()
    best = distance.masked_fill(~inside, torch.inf).amin(-1)
    assert torch.allclose((found - images).abs(), best, atol=1e-7)


@settings(UNTIMED, max_examples=200)
@given(st.integers(0, 2**31), st.floats(0.001, 0.5), st.booleans(), st.sampled_from([1, 3]))
def test_l2_moves_no_pixel_by_a_level_more_than_it_must(seed: int, eps: float, on_levels: bool, channels: int) -> None:
    """Pixels move from their nearest levels towards the clean image, and none can take back a level."""
    clean, images = images_in_balls(seed, (1, channels, 4, 5), "l2", eps, on_levels)
    radius = 255 * eps_with_room("l2", eps, clean)
    centre, image = (255 * each.double().numpy().ravel() for each in (clean, images))
    found, nearest, middle = nearest_in_l2_ball(centre, image, radius), np.rint(image), np.rint(centre)
    assert np.square(found - centre).sum() <= radius**2 * (1 + 1e-12)
    assert (found >= np.minimum(nearest, middle)).all()
    assert (found <= np.maximum(nearest, middle)).all()
    for pixel in np.flatnonzero(found != nearest):
        back = found.copy()
        back[pixel] += np.sign(nearest - found)[pixel]
        assert np.square(back - centre).sum() > radius**2 * (1 - 2e-9)
    if np.square(nearest - centre).sum() <= radius**2:
        assert (found == nearest).all()


@settings(UNTIMED, max_examples=100)
@given(st.integers(0, 2**31), st.floats(0.003, 0.04), st.booleans())
def test_l2_is_the_nearest_image_of_8_bits_in_the_ball_up_to_one_move(seed: int, eps: float, on_levels: bool) -> None:
    """Against a search over all images of the levels around 6 pixels: a move more than the best ones need, at most."""
    clean, images = images_in_balls(seed, (1, 1, 2, 3), "l2", eps, on_levels)
    radius = 255 * eps_with_room("l2", eps, clean)
    centre, image = (255 * each.double().numpy().ravel() for each in (clean, images))
    found = nearest_in_l2_ball(centre, image, radius)
    near = np.rint(image)
    choices = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 6), -1).reshape(-1, 6) + near
    choices = choices[((choices >= 0) & (choices <= 255)).all(1)]
    choices = choices[np.square(choices - centre).sum(1) <= radius**2]
    best = np.square(choices - image).sum(1).min()
    one_move = np.square(np.abs(found - image).max() + 1)
    assert best - 1e-9 <= np.square(found - image).sum() <= best + one_move


def test_l2_moves_an_unchanged_pixel_between_levels_to_the_nearest() -> None:
    """Not always up, which could leave a ball that has room for the nearest level."""
    clean = (torch.arange(12).view(1, 3, 2, 2) * 20 + torch.linspace(0.1, 0.4, 12).view(1, 3, 2, 2)) / 255
    changed = clean.clone()
    changed[0, 0, 0, 0] += 0.004
    found = from_levels(eight_bit(clean, changed, budget("l2", 0.0041)))
    assert torch.equal(found.flatten()[1:], ((clean * 255).round() / 255).flatten()[1:])


def test_l2_moves_few_pixels_of_an_image_just_outside() -> None:
    """Not every pixel, as rounding the whole image towards the clean one would."""
    clean = torch.full((1, 3, 32, 32), 128 / 255)
    delta = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    images = clean + 0.5 * delta / delta.norm()
    found = eight_bit(clean, images, budget("l2", 0.5)).float()
    nearest = (images * 255).round()
    assert perturbation_size(nearest / 255 - clean, "l2") > 0.5 + TOLERANCE
    assert 0 < (found != nearest).float().mean() < 0.1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_balls_without_an_image_of_8_bits_are_found(norm: str) -> None:
    levels = torch.arange(12).view(1, 3, 2, 2) / 255
    between = levels + 0.3 / 255
    size = float(perturbation_size(between - levels, norm))
    assert unreachable(torch.cat([levels, between]), budget(norm, size * 0.9)).tolist() == [0, pytest.approx(size)]
    assert unreachable(torch.cat([levels, between]), budget(norm, size * 1.01)).tolist() == [0, 0]


class Levels:
    """How far the images that it observes are from 8 bits."""

    def observe(self, step: Step, adversarial: Tensor) -> dict[str, Tensor]:
        assert step.images is adversarial
        return {"off": ((adversarial * 255).round() - adversarial * 255).flatten(1).abs().amax(1)}

    def summarise(self, rows: dict[str, np.ndarray]) -> list[Score]:
        return [Score("off", float(rows["off"].max()), 0, 0, len(rows["off"]))]


class AtTheEnd(Levels):
    def observe(self, adversarial: Tensor, clean: Examples) -> dict[str, Tensor]:  # type: ignore[override]
        return {"off": ((adversarial * 255).round() - adversarial * 255).flatten(1).abs().amax(1)}


class Plugin:
    @hookimpl
    def bench_metrics(self) -> dict[str, MetricRecipe]:
        return {"levels": MetricRecipe(Levels, "at every step"), "last_levels": MetricRecipe(AtTheEnd, "at the end")}


@pytest.mark.parametrize("quantise", [True, False])
def test_metrics_observe_the_images_that_are_judged(quantise, registry: Registry, write_suite, tmp_path) -> None:
    registry.register(Plugin(), Origin("levels", "tests", "1", "levels-source"))
    suite = write_suite(
        ('title = "toy"', f'title = "toy"\nquantise = {str(quantise).lower()}'),
        ("[on.toy]", 'levels = { recipe = "levels" }\nlast = { recipe = "last_levels" }\n[on.toy]'),
    )
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete
    off = [record["value"] for record in result.records() if record["metric"] in ("levels.off", "last.off")]
    assert len(off) == 4
    assert all((value < 1e-4) == quantise for value in off)
