"""Surrogates that change a network's activations, pooling or shortcuts, against the equations, image by image."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn.functional import relu

from bench_attacks.parts.bpa import SmoothBackward
from bench_attacks.parts.iaa import interpolated, stages
from bench_models.embedded.architectures import ARCHITECTURES

from ..scene import network
from .by_hand import One, follows, slope
from .by_hand_networks import SHAPE, residual

MODEL = residual()


def pulled(function, at: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """Return the product of a gradient with the derivative of a function, by torch."""
    return slope(lambda here: (function(here) * gradient).sum(), at)


def inner2(features: Tensor) -> Tensor:
    """Return the branch of block 2 up to its ReLU."""
    return MODEL.block2.bn1(MODEL.block2.conv1(features))  # type: ignore[no-any-return]


def outer2(activated: Tensor) -> Tensor:
    """Return the rest of the branch."""
    return MODEL.block2.bn2(MODEL.block2.conv2(activated))  # type: ignore[no-any-return]


def branch2(features: Tensor) -> Tensor:
    return outer2(relu(inner2(features)))


def test_linbp() -> None:
    """The branch of block 2 without its mask, at the length that it has with it."""

    def transcription(one: One) -> Iterator[Tensor]:
        def below(image: Tensor) -> Tensor:
            features: Tensor = MODEL.block1(MODEL.pool(relu(MODEL.first(image[None]))))
            return features

        while True:
            features = below(one.image)
            total = features + branch2(features)
            gradient = slope(lambda at: one.loss(MODEL.head(at))[0], relu(total)) * (total > 0)
            inner = inner2(features)
            through = pulled(outer2, relu(inner), gradient)
            linear = pulled(inner2, features, through)
            masked = pulled(inner2, features, through * (inner > 0))
            at_features = gradient + linear * masked.norm() / linear.norm()
            yield pulled(below, one.image, at_features)

    follows("linbp", transcription, model=MODEL, shape=SHAPE)


def soft_pooled(features: Tensor, temperature: float) -> Tensor:
    """Pool [1, c, 8, 8] in windows of 3 x 3, two apart, from -1 on, window by window."""
    rows = []
    for i in range(-1, 7, 2):
        for j in range(-1, 7, 2):
            window = features[0, :, max(i, 0) : i + 3, max(j, 0) : j + 3].flatten(1)
            rows.append(((temperature * window).softmax(1).detach() * window).sum(1))
    return torch.stack(rows, 1).view(1, -1, 4, 4)


def test_bpa() -> None:

    def smooth(inner: Tensor) -> Tensor:
        sigmoid = inner.sigmoid()
        return sigmoid * (1 + inner * (1 - sigmoid))

    def transcription(one: One) -> Iterator[Tensor]:
        def first(image: Tensor) -> Tensor:
            return relu(MODEL.first(image[None]))

        while True:
            pooled = MODEL.pool(first(one.image))
            features = MODEL.block1(pooled)
            total, inner = features + branch2(features), inner2(features)
            gradient = slope(lambda at: one.loss(MODEL.head(at))[0], relu(total)) * smooth(total)
            through = pulled(outer2, relu(inner), gradient) * smooth(inner)
            at_features = gradient + pulled(inner2, features, through)
            at_pooled = pulled(MODEL.block1, pooled, at_features)
            at_first = pulled(lambda at: soft_pooled(at, 5.0), first(one.image), at_pooled)
            yield pulled(first, one.image, at_first)

    follows("bpa", transcription, model=MODEL, shape=SHAPE, bpa_layer="block1", pool_temperature=5.0)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (2, 3), "stride": (3, 2), "ceil_mode": True},
        {"kernel_size": 2, "stride": 2, "padding": 1, "dilation": 2},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    ],
    ids=str,
)  # fmt: skip
def test_soft_pooling_at_zero_temperature_is_max_pooling(options: dict[str, Any]) -> None:
    features = torch.randn(2, 3, 9, 12, dtype=torch.float64) - 5  # negative, so that padding of zero would win
    pooled = torch.nn.functional.max_pool2d(features, **options)
    torch.testing.assert_close(SmoothBackward(0.5, 1e9).weighted(features, pooled, **options), pooled)


def test_ghost_scales_shortcuts() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            scale1, scale2 = (1 + 0.3 * (2 * one.uniform(f"ghost {i}", 6, 1, 1) - 1) for i in range(2))

            def logits(image: Tensor, scale1: Tensor = scale1, scale2: Tensor = scale2) -> Tensor:
                pooled = MODEL.pool(relu(MODEL.first(image[None])))
                features = relu(scale1 * pooled + MODEL.block1.branch(pooled))
                return MODEL.head(relu(scale2 * features + branch2(features)))

            yield slope(lambda at, logits=logits: one.loss(logits(at))[0], one.image)

    follows("ghost", transcription, model=MODEL, shape=SHAPE, spread=0.3)


def test_ghost_drops_features_of_other_networks() -> None:
    model = network()  # whose units are the softplus after the convolution, and a dense layer

    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            masks = [(one.uniform(f"ghost {i}", 6, 6, 6) >= 0.2) / 0.8 for i in range(2)]

            def logits(image: Tensor, masks: list[Tensor] = masks) -> Tensor:
                features = model[:2](image[None]) * masks[0]
                return model[3:](model[2](features) * masks[1])  # type: ignore[no-any-return]

            yield slope(lambda at, logits=logits: one.loss(logits(at))[0], one.image)

    follows("ghost", transcription, model=model, dropout=0.2)


def test_iaa() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        def activated(inner: Tensor) -> Tensor:
            return (1 + (8 * inner).exp()).log() / 8

        def logits(image: Tensor) -> Tensor:
            pooled = MODEL.pool(activated(MODEL.first(image[None])))
            conv, norm, _, last = MODEL.block1.branch
            features = activated(pooled + 0.25 * last(activated(norm(conv(pooled)))))  # one stage: the last weight
            return MODEL.head(activated(features + 0.25 * outer2(activated(inner2(features)))))

        while True:
            yield slope(lambda at: one.loss(logits(at))[0], one.image)

    follows("iaa", transcription, model=MODEL, shape=SHAPE, softplus_beta=8.0, stage_weights=[0.9, 0.5, 0.25])


STAGES = {"resnet18": [2, 2, 2, 2], "resnet50": [3, 4, 6, 3], "densenet121": [6, 12, 24, 16]}
EMBEDDED = {"ResNet-S": [1, 2], "ResNet-L": [4, 4], "DenseNet-S": [3, 4], "IncResNet": [2, 3], "SENet": [2, 3]}


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_of_torchvisions_networks(name: str) -> None:
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None)
    assert [len(blocks) for blocks in stages(model)] == STAGES[name]


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_stages_of_embedded_networks(name: str) -> None:
    assert [len(blocks) for blocks in stages(ARCHITECTURES[name]())] == EMBEDDED[name]


def test_weights_of_stages_are_interpolated() -> None:
    weights = (0.9, 0.8, 0.6, 0.2)
    assert [interpolated(weights, (i + 1) / 4) for i in range(4)] == pytest.approx(weights)
    assert [interpolated(weights, (i + 1) / 2) for i in range(2)] == pytest.approx([0.8, 0.2])
    assert interpolated(weights, 1.0) == pytest.approx(0.2)
    assert [interpolated(weights, (i + 1) / 8) for i in range(8)][:3] == pytest.approx([0.9, 0.9, 0.85])
