"""Surrogates that change a network's activations, pooling or shortcuts, against the equations, image by image."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import relu

from .by_hand import One, follows, slope
from .by_hand_networks import SHAPE, residual

MODEL = residual()


def pulled(function, at: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """Return the product of a gradient with the derivative of a function, by torch."""
    return slope(lambda here: (function(here) * gradient).sum(), at)


def test_linbp() -> None:
    """The branch of block 2 without its mask, at the length that it has with it."""
    conv, norm, _, last = MODEL.block2.branch

    def transcription(one: One) -> Iterator[Tensor]:
        def below(image: Tensor) -> Tensor:
            features: Tensor = MODEL.block1(MODEL.pool(relu(MODEL.first(image[None]))))
            return features

        while True:
            features = below(one.image)
            total = features + MODEL.block2.branch(features)
            gradient = slope(lambda at: one.loss(MODEL.head(at))[0], relu(total)) * (total > 0)
            inner = norm(conv(features))
            through = pulled(last, relu(inner), gradient)
            linear = pulled(lambda at: norm(conv(at)), features, through)
            masked = pulled(lambda at: norm(conv(at)), features, through * (inner > 0))
            at_features = gradient + linear * masked.norm() / linear.norm()
            yield pulled(below, one.image, at_features)

    follows("linbp", transcription, model=MODEL, shape=SHAPE)
