"""What is left of adversarial images when they are saved, against Pillow used by hand."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bench_core.types import Examples
from bench_metrics.persistence import Persistence

WAYS = ("float", "8 bits", "8 bits down", "PNG", "JPEG 95", "JPEG 50", "half size")


class Seen(nn.Module):
    """Records the images that it sees; its class is 1 if the mean is above one half, and else 0."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.images.append(images.clone())
        mean = images.flatten(1).mean(1)
        return torch.stack([torch.full_like(mean, 0.5), mean], dim=1)


def smooth(channels: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    coarse = torch.rand(count, channels, 3, 4, generator=generator)
    return nn.functional.interpolate(coarse, (15, 17), mode="bilinear").clamp(0, 1)


def opened(pixels: np.ndarray, media: str, **options: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, media, **options)
    return np.asarray(Image.open(file)).reshape(pixels.shape)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_target_sees_what_pillow_reads_of_what_it_saved(channels: int) -> None:
    images, network = smooth(channels), Seen()
    clean = Examples(images.flip(0), torch.zeros(3, dtype=torch.long), tuple("abc"))
    metric = Persistence(jpeg=(95, 50))
    assert metric.ways == WAYS
    rows = metric.observe(clean, images, network)
    passed = [way for way in WAYS if way != "PNG"]  # which has the pixels of "8 bits"
    seen = dict(zip(passed, network.images, strict=False))
    seen = {way: seen.get(way, seen["8 bits"]) for way in WAYS}
    assert len(network.images) == metric.forwards == 2 * len(passed)
    for row, image in enumerate(images):
        pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
        expected = {
            "float": image.permute(1, 2, 0).numpy(),
            "8 bits": pixels / np.float32(255),
            "8 bits down": (image.permute(1, 2, 0) * 255).floor().numpy() / np.float32(255),
            "PNG": pixels / np.float32(255),
            "JPEG 95": opened(pixels, "JPEG", quality=95) / np.float32(255),
            "JPEG 50": opened(pixels, "JPEG", quality=50) / np.float32(255),
        }
        for way, array in expected.items():
            assert np.array_equal(seen[way][row].permute(1, 2, 0).numpy(), array), way
    half = seen["half size"]
    assert half.shape == images.shape
    assert 0 < (half - images).abs().mean() < 0.05
    assert torch.equal(rows["fooled"], torch.stack([x.flatten(1).mean(1) > 0.5 for x in seen.values()], 1))
    assert torch.equal(rows["clean"][:, 0], clean.images.flatten(1).mean(1) > 0.5)


def test_ways_that_give_the_same_pixels_need_one_pass() -> None:
    images, network = (smooth(1) * 255).round() / 255, Seen()
    clean = Examples(images, torch.zeros(3, dtype=torch.long), tuple("abc"))
    rows = Persistence(jpeg=(50,)).observe(clean, images, network)
    assert len(network.images) == 2 * len(("as they are", "JPEG 50", "half size"))
    fooled = images.flatten(1).mean(1) > 0.5
    assert torch.equal(rows["fooled"][:, :4], fooled[:, None].expand(-1, 4))
    assert torch.equal(rows["clean"], rows["fooled"])


def test_scores_by_hand() -> None:
    metric = Persistence(jpeg=(75,))
    fooled = np.zeros((4, 6), bool)
    fooled[:, 0] = True, True, True, False
    fooled[:, 4] = True, False, False, True
    clean = np.zeros((4, 6), bool)
    clean[0, 4] = True
    scores = {
        (score.name, score.labels["saved"]): score for score in metric.summarise({"fooled": fooled, "clean": clean})
    }
    assert scores["success", "float"].value == 0.75
    assert scores["success", "JPEG 75"].value == 0.5
    assert scores["kept", "JPEG 75"].value == pytest.approx(1 / 3)
    assert scores["kept", "JPEG 75"].n == 3
    assert scores["clean", "JPEG 75"].value == 0.25


def test_a_targeted_attack_succeeds_only_in_its_class() -> None:
    images = torch.full((1, 1, 12, 12), 0.9)
    for target, expected in ((1, True), (0, False)):
        clean = Examples(images, torch.tensor([0]), ("a",), torch.tensor([target]))
        rows = Persistence().observe(clean, images, Seen())
        assert bool(rows["fooled"].all()) == expected
        assert bool(rows["fooled"].any()) == expected
