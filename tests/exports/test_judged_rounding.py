"""How the levels of given images were rounded is recognised, where their changes show it."""

from typing import Any

import numpy as np
import pytest

from bench_core.given import ball
from bench_core.types import Budget


@pytest.mark.parametrize(
    ("norm", "change", "expected"),
    [
        ("linf", np.floor, ball.DOWN), ("linf", np.ceil, ball.UP), ("linf", np.rint, ball.NEAREST),
        ("l2", np.floor, ball.DOWN), ("l2", np.ceil, ball.UP), ("linf", lambda x: x + 5, ""),
    ],
)  # fmt: skip
def test_how_levels_were_rounded_is_recognised(norm: str, change: Any, expected: str) -> None:
    draw = np.random.default_rng(0)
    clean = draw.uniform(60, 200, (4, 1, 20, 20))
    sizes = 10.3 * np.resize([-1, 1], clean.shape)
    excess = ball.Excess(Budget(norm, 10.3 / 255 * (1 if norm == "linf" else 20), 0.1, 1))  # type: ignore[arg-type]
    for index, image in enumerate(change(clean + sizes)):
        excess.add(str(index), (clean[index] / 255).astype(np.float32), (image / 255).astype(np.float32))
    assert excess.rounding == expected


@pytest.mark.parametrize("eps", [0.03, 7.3 / 255, 2.5 / 255])
@pytest.mark.parametrize(("cast", "expected"), [(np.floor, ball.DOWN), (np.ceil, ball.UP), (np.rint, "")])
def test_floored_levels_inside_a_larger_ball_are_named(eps: float, cast: Any, expected: str) -> None:
    """Sign attacks of eps 0.03, 7.3/255 or 2.5/255, saved with each cast, in the ball of 8/255."""
    found = excess_of(Budget("linf", 8 / 255, 0.1, 1), eps, cast, np.sign)
    assert not found.outside
    assert found.one_sided.startswith(expected)
    assert bool(found.one_sided) == bool(expected)


@pytest.mark.parametrize("cast", [np.floor, np.ceil, np.rint])
def test_changes_without_a_bound_are_not_named(cast: Any) -> None:
    found = excess_of(Budget("linf", 8 / 255, 0.1, 1), 0.006, cast, lambda noise: noise)
    assert not found.outside
    assert found.one_sided == ""


def test_a_ball_of_other_norm_or_images_between_levels_tell_nothing() -> None:
    assert excess_of(Budget("l2", 5, 0.1, 1), 0.03, np.floor, np.sign).one_sided == ""
    assert excess_of(Budget("linf", 8 / 255, 0.1, 1), 0.03, np.floor, np.sign, shift=0.3).one_sided == ""


def excess_of(budget: Budget, eps: float, cast: Any, direction: Any, shift: float = 0) -> ball.Excess:
    """Return the changes of images in float32 whose pixels move by eps times a direction of Gaussian noise."""
    draw = np.random.default_rng(0)
    clean = ((draw.integers(0, 256, (8, 3, 16, 16)) + shift) / 255).clip(0, 1).astype(np.float32)
    moves = eps * direction(draw.normal(size=clean.shape))
    adversarial = (clean + moves.astype(np.float32)).clip(0, 1)
    excess = ball.Excess(budget)
    for index, image in enumerate(cast(adversarial * np.float32(255)).astype(np.uint8)):
        excess.add(str(index), clean[index], image.astype(np.float32) / np.float32(255))
    return excess
