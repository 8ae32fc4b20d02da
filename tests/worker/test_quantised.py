"""Images of 8 bits: the nearest levels, inside the ball, and those are what metrics judge."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench_core import run
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.types import Budget, Examples, MetricRecipe, Score, Step
from bench_core.worker.contracts import TOLERANCE, perturbation_size, quantised
from tests.properties import UNTIMED


def budget(norm: str, eps: float) -> Budget:
    return Budget(norm, eps, eps, 1)  # type: ignore[arg-type]


@settings(UNTIMED, max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.001, 0.2), st.booleans())
def test_linf_takes_the_nearest_level_inside_the_ball(seed: int, eps: float, on_grid: bool) -> None:
    """Against a search over all 256 levels."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand((2, 1, 3, 3), generator=generator)
    clean = (clean * 255).round() / 255 if on_grid else clean
    images = (clean + eps * (2 * torch.rand(clean.shape, generator=generator) - 1)).clamp(0, 1)
    found = quantised(clean, images, budget("linf", eps))
    levels = torch.arange(256) / 255
    distance = (images[..., None] - levels).abs()
    inside = (clean[..., None] - levels).abs() <= eps + TOLERANCE
    best = torch.where(inside, distance, torch.inf).amin(-1)
    possible = inside.any(-1)
    assert torch.allclose((found - images).abs()[possible], best[possible], atol=2e-5)
    assert torch.equal((found * 255).round() / 255, found)


@settings(UNTIMED, max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.05, 1.0))
def test_l2_stays_inside_the_ball_of_images_of_8_bits(seed: int, eps: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(0, 256, (2, 1, 4, 4), generator=generator) / 255
    delta = torch.randn(clean.shape, generator=generator)
    images = (clean + eps * delta / delta.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1)
    found = quantised(clean, images, budget("l2", eps))
    assert (perturbation_size(found - clean, "l2") <= eps + TOLERANCE).all()
    assert ((found - images).abs() < 1 / 255 + 1e-6).all()


def test_l2_moves_an_unchanged_pixel_between_levels_to_the_nearest() -> None:
    """Not always up, which could leave a ball that has room for the nearest level."""
    clean = (torch.arange(12).view(1, 3, 2, 2) * 20 + torch.linspace(0.1, 0.4, 12).view(1, 3, 2, 2)) / 255
    changed = clean.clone()
    changed[0, 0, 0, 0] += 0.004
    found = quantised(clean, changed, budget("l2", 0.0041))
    assert torch.equal(found.flatten()[1:], ((clean * 255).round() / 255).flatten()[1:])


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
