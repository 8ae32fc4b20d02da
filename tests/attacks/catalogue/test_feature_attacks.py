"""Attacks on inner features, against their equations, image by image."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import relu

from .by_hand import One, follows, mean_unit, slope
from .by_hand_networks import SHAPE, residual

MODEL = residual()


def below(image: Tensor) -> Tensor:
    """Return the features [6, 4, 4] of an image after block 1."""
    features: Tensor = MODEL.block1(MODEL.pool(relu(MODEL.first(image[None]))))
    return features[0]


def above(one: One, features: Tensor, loss: str) -> Tensor:
    return one.loss(MODEL.head(MODEL.block2(features[None])), loss)[0]  # type: ignore[arg-type]


def at_features(one: One, image: Tensor, loss: str) -> Tensor:
    """Return the gradient in the features."""
    return slope(lambda at: above(one, at, loss), below(image))


def with_momentum(one: One, value: Callable[[Tensor], Tensor], decay: float = 0.9) -> Iterator[Tensor]:
    momentum = torch.zeros_like(one.clean)
    while True:
        momentum = decay * momentum + mean_unit(slope(lambda at: value(below(at)), one.image))
        yield momentum


def test_naa() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        total, base = torch.zeros(()), torch.full_like(one.clean, 0.3)
        for point in range(5):
            noisy = one.clean + 0.2 * one.normal(f"path {point}", *SHAPE, step=0)
            total = total + at_features(one, base + (1 - point / 5) * (noisy - base), "probability")
        weights, at_base = total / total.norm(), below(base)

        def attributed(features: Tensor) -> Tensor:
            attributions = weights * (features - at_base)
            return attributions.clamp(min=0).sum() + 0.5 * attributions.clamp(max=0).sum()

        return with_momentum(one, attributed)

    options = {"layer": "block1", "path": 5, "path_noise": 0.2, "base": 0.3, "negative": 0.5, "decay": 0.9}
    follows("naa", transcription, model=MODEL, shape=SHAPE, **options)


def test_fmaa() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        momentum, weights = torch.zeros_like(one.clean), torch.zeros(())
        while True:
            total = torch.zeros(())
            for mask in range(4):
                kept = one.uniform(f"feature masks {mask}", *SHAPE) >= (0.5 if one.step == 1 else 0.2)
                total = total + at_features(one, one.image * kept, "probability")
            weights = 1.2 * weights + total / total.abs().mean()
            gradient = slope(lambda at, weights=weights: (weights * below(at)).sum(), one.image)
            momentum = 0.9 * momentum + mean_unit(gradient)
            yield momentum

    options = {"layer": "block1", "masks": 4, "first_drop": 0.5, "drop": 0.2, "feature_decay": 1.2, "decay": 0.9}
    follows("fmaa", transcription, model=MODEL, shape=SHAPE, **options)


def test_rpa() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        total = torch.zeros(())
        for number in range(5):
            side = (1, 3, 5, 7, 1)[number]
            patches = -(-8 // side)
            kept = one.uniform(f"patches {number}", 1, patches, patches, step=0)
            noise = one.uniform(f"patch noise {number}", *SHAPE, step=0)
            masked = one.clean.clone()
            for i in range(8):
                for j in range(8):
                    if kept[0, i // side, j // side] >= 0.6:
                        masked[:, i, j] *= noise[:, i, j]
            total = total + at_features(one, masked, "logit")
        weights = total / total.norm()
        return with_momentum(one, lambda features: (weights * features).sum())

    options = {"layer": "block1", "patch_masks": 5, "keep": 0.6, "decay": 0.9}
    follows("rpa", transcription, model=MODEL, shape=SHAPE, **options)


def test_bfa() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        total, fitted = torch.zeros(()), one.clean
        for _ in range(4):
            gradient = one.gradient(fitted)
            fitted = one.clean + 0.2 * 8 * gradient / gradient.norm()
            total = total + at_features(one, fitted, "logit")
        weights = total / total.norm()
        return with_momentum(one, lambda features: (weights * features).sum())

    options = {"layer": "block1", "fits": 4, "fit_stretch": 0.2, "decay": 0.9}
    follows("bfa", transcription, model=MODEL, shape=SHAPE, **options)


@pytest.mark.parametrize(("decay", "guide_steps"), [(0.0, 2), (0.9, 2), (0.9, 5)])
def test_ila(decay: float, guide_steps: int) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        longer = replace(one.limits, step_size=max(one.limits.step_size, one.limits.eps / guide_steps))
        guide = One(one.clean, one.clean, one.given, MODEL, longer, None)
        momentum = torch.zeros_like(one.clean)
        for _ in range(guide_steps):
            momentum = decay * momentum + mean_unit(guide.gradient(guide.image))
            guide.move(momentum)
        at_clean = below(one.clean)
        change = below(guide.image) - at_clean
        while True:
            yield slope(lambda at: ((below(at) - at_clean) * change).sum(), one.image)

    options = {"layer": "block1", "guide_steps": guide_steps, "guide_decay": decay}
    follows("ila", transcription, model=MODEL, shape=SHAPE, **options)
