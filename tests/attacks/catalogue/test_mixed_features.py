"""Surrogates that mix features with those of other images, against the equations, image by image."""

from collections.abc import Iterator

from torch import Tensor
from torch.nn.functional import relu

from .by_hand import One, follows, slope
from .by_hand_networks import SHAPE, residual

MODEL = residual()


def below(image: Tensor) -> Tensor:
    features: Tensor = MODEL.block1(MODEL.pool(relu(MODEL.first(image[None]))))
    return features


def test_ilpd() -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            clean = below(one.clean + 0.2 * one.normal("clean noise", *SHAPE))

            def logits(image: Tensor, clean: Tensor = clean) -> Tensor:
                return MODEL.head(MODEL.block2(0.3 * below(image) + 0.7 * clean))

            yield slope(lambda at, logits=logits: one.loss(logits(at))[0], one.image)

    follows("ilpd", transcription, model=MODEL, shape=SHAPE, ilpd_layer="block1", kept=0.3, clean_noise=0.2)


def test_cfm() -> None:
    """On 16 x 16 pixels the layers are the convolutions of 4 x 4 outputs, all but the first, and the linear one."""
    model = residual(stride=2)

    def logits(one: One, image: Tensor, donor: list[Tensor] | None, seen: list[Tensor]) -> Tensor:
        """Return the logits, mixed with a donor's features, and append the features of all layers before mixing."""

        def mixed(features: Tensor) -> Tensor:
            seen.append(features)
            number = len(seen)
            if donor is None or not one.uniform(f"mixed {number}", *[1] * (features.ndim - 1)) < 0.6:
                return features
            channels = (6, 1, 1) if features.ndim == 4 else (len(features[0]),)
            weights = 0.5 * one.uniform(f"mixed channels {number}", *channels)
            return (1 - weights) * features + weights * donor[number - 1]

        features = model.pool(relu(model.first(image[None])))
        conv, norm, activation, last = model.block1.branch
        features = relu(features + mixed(last(activation(norm(mixed(conv(features)))))))
        block = model.block2
        inner = relu(block.bn1(mixed(block.conv1(features))))
        features = relu(features + block.bn2(mixed(block.conv2(inner))))
        return mixed(model.head(features))

    def transcription(one: One) -> Iterator[Tensor]:
        assert one.pool is not None
        others = one.pool.images[one.pool.labels != one.given.labels]
        while True:
            donor = others[(one.uniform("clean features", 1) * len(others)).long()][0]
            kept: list[Tensor] = []
            logits(one, donor, None, kept)
            yield slope(lambda at, kept=kept: one.loss(logits(one, at, kept, []))[0], one.image)

    follows(
        "cfm", transcription, model=model, shape=(1, 16, 16), mix_probability=0.6, mix_share=0.5, cfm_pool=6
    )  # fmt: skip
