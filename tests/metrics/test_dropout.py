"""Pixel dropout, cutout and recovery against loops over pixels and direct counts."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.types import Examples, Step
from bench_core.worker.streams import ImageStreams
from bench_metrics.dropout import DropoutCorrection, from_surroundings, masked_range, pixels_left, without_square
from bench_metrics.recovery import Recovery
from tests.toys import CLASSES, toy_network

GREY = torch.full((1, 4, 4), 0.5)


def pixels(n: int = 3, channels: int = 2, height: int = 5, width: int = 7) -> Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0)).double()


def filled_by_a_loop(image: Tensor, kept: Tensor) -> Tensor:
    """Fill the pixels of one image [c, h, w] that are not kept, by the mask [h, w]."""
    result = image.clone()
    height, width = kept.shape
    for row in range(height):
        for column in range(width):
            reach = 1
            while not kept[row, column]:
                rows = slice(max(0, row - reach), row + reach + 1)
                columns = slice(max(0, column - reach), column + reach + 1)
                if kept[rows, columns].any():
                    result[:, row, column] = image[:, rows, columns][:, kept[rows, columns]].mean(1)
                    break
                reach += 1
    return result


@pytest.mark.parametrize("left", [1, 3, 20])
def test_dropped_pixels_take_the_mean_of_the_kept_pixels_around_them(left: int) -> None:
    images = pixels()
    kept = ImageStreams(0, ("a", "b", "c")).subsets("x", 0, 1, 35, left).view(3, 1, 5, 7)
    for image, mask, filled in zip(images, kept, from_surroundings(images, kept), strict=True):
        torch.testing.assert_close(filled, filled_by_a_loop(image, mask[0]))
    none = torch.zeros(3, 1, 5, 7, dtype=torch.bool)
    assert torch.equal(from_surroundings(images, none), images)


@pytest.mark.parametrize(("rate", "pixels_", "left"), [(0.1, 784, 705), (0.9, 10, 1), (0.29, 100, 71), (0.3, 10, 7)])
def test_the_number_of_pixels_left_is_exact(rate: float, pixels_: int, left: int) -> None:
    assert pixels_left(rate, pixels_) == left


def test_cutout_masks_one_whole_square_anywhere() -> None:
    images = pixels(200, height=8, width=8)
    place = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    fill = torch.tensor([0.25, 0.75]).double()[:, None, None]
    found = without_square(images, 0.5, place, fill)
    changed = (found != images).any(1)
    corners = set()
    for image, cut, mask in zip(images, found, changed, strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0].tolist(), mask.any(0).nonzero()[:, 0].tolist()
        assert mask.sum() == 16
        assert rows == list(range(rows[0], rows[0] + 4))
        assert columns == list(range(columns[0], columns[0] + 4))
        assert torch.equal(cut[:, mask], fill[:, 0].expand(-1, 16))
        assert torch.equal(cut[:, ~mask], image[:, ~mask])
        corners.add((rows[0], columns[0]))
    assert {row for row, _ in corners} == {column for _, column in corners} == set(range(5))
    assert masked_range(5, 0, torch.zeros(1)).sum() == 0


class Brighter(nn.Module):
    """A network that predicts class 1 if the middle pixel is brighter than 0.5."""

    def forward(self, images: Tensor) -> Tensor:
        middle = images[:, 0, 3, 3] - 0.5
        return torch.stack([-middle, middle], 1)


def test_corrected_is_counted_over_the_fooled_and_kept_over_all() -> None:
    clean = torch.full((40, 1, 7, 7), 0.2)
    adversarial = clean.clone()
    adversarial[:30, 0, 3, 3] = 0.9  # one pixel fools the network; dropping it corrects the image
    given = Examples(clean, torch.zeros(40, dtype=torch.long), tuple(f"{i}" for i in range(40)))
    metric = DropoutCorrection(rates=(0.5,), cutout=0.5)
    rows = metric.observe(given, adversarial, Brighter(), ImageStreams(0, given.ids), torch.full((1, 7, 7), 0.2))
    scores = {(s.name, s.labels.get("operation")): s for s in metric.summarise({k: v.numpy() for k, v in rows.items()})}
    assert scores["fooled", None].value == 0.75
    left = ImageStreams(0, given.ids).subsets("dropout", 0, 1, 49, 24).view(-1, 7, 7)[:, 3, 3]
    assert scores["corrected", "dropout 0.5"].value == pytest.approx((~left[:30]).float().mean().item())
    assert scores["corrected", "dropout 0.5"].n == 30
    corner = (ImageStreams(0, given.ids).uniform("cutout", 0, (2,)) * 4).long()
    hit = ((corner <= 3) & (corner + 4 > 3)).all(1)
    assert scores["corrected", "cutout"].value == pytest.approx(hit[:30].float().mean().item())
    assert scores["kept", "cutout"].value == 1
    assert scores["kept", "cutout"].n == 40


class Inside(nn.Module):
    """Predicts 1 where the mean is above 0.4, and so shows what fills the square that covers nearly all the image."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3)) - 0.4
        return torch.stack([-mean, mean], 1)


@pytest.mark.parametrize(("fill", "kept"), [("channel_mean", 1.0), ("image_mean", 0.0)])
def test_the_square_shows_the_mean_of_the_data_or_of_the_image(fill: str, kept: float) -> None:
    """A dark image, of class 1 only if it is filled from data whose two halves have the mean 0.5."""
    images = torch.full((4, 1, 10, 10), 0.1)
    given = Examples(images, torch.ones(4, dtype=torch.long), tuple("abcd"))
    data_mean = torch.cat([torch.zeros(1, 5, 10), torch.ones(1, 5, 10)], dim=1)
    metric = DropoutCorrection(rates=(), cutout=0.9, fill=fill)
    rows = metric.observe(given, images, Inside(), ImageStreams(0, given.ids), data_mean)
    assert rows["kept"].double().mean().item() == kept
    assert DropoutCorrection().fill == "channel_mean"


def test_masks_do_not_depend_on_the_batch() -> None:
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    given = Examples(images, torch.arange(6) % CLASSES, tuple("abcdef"))
    metric, network = DropoutCorrection(), toy_network(5)
    together = metric.observe(given, images + 0.1, network, ImageStreams(0, given.ids), GREY)
    for i in range(6):
        own = slice(i, i + 1)
        alone = metric.observe(given.take(own), (images + 0.1)[own], network, ImageStreams(0, given.ids[own]), GREY)
        assert all(torch.equal(alone[name], together[name][own]) for name in together)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rates": (0.99,), "cutout": 0.0}, "rates: found 0.99"), ({"rates": (), "cutout": 0.0}, "rates: found none")],
)
def test_rates_that_leave_no_pixels_are_rejected(options: dict, message: str) -> None:
    assert (DropoutCorrection(**options).check((1, 4, 4)) or "").startswith(message)
    assert DropoutCorrection().check((1, 4, 4)) is None


@pytest.mark.parametrize("steps", [4, 5])
def test_recovery_reads_the_turn_and_the_end(steps: int) -> None:
    clean = Examples(torch.full((2, 1, 7, 7), 0.4), torch.zeros(2, dtype=torch.long), ("a", "b"))
    distances = [0.1, 0.2, 0.3, 0.15, 0.05][:steps] if steps == 5 else [0.1, 0.2, 0.15, 0.05]
    rows: dict[str, list[np.ndarray]] = {"distance": [], "right": []}
    for index, distance in enumerate(distances):
        images = clean.images.clone()
        images[0, 0, 3, 3] += distance
        images[1, 0, 3, 3] -= 0.1 * (index + 1)
        for name, row in Recovery().observe(Step(index + 1, images), clean, Brighter()).items():
            rows[name].append(row.numpy())
    scores = {
        (s.name, *s.labels.values()): s for s in Recovery().summarise({k: np.stack(v, 1) for k, v in rows.items()})
    }
    turn = 0.3 if steps == 5 else 0.2
    assert scores["distance", "adversarial"].per_image == pytest.approx([turn, 0.1 * round(turn * 10)], rel=1e-5)
    assert scores["distance", "recovered"].per_image == pytest.approx([0.05, 0.1 * steps], rel=1e-5)
    assert scores["right", "adversarial"].value == 0.5
    assert scores["right", "recovered"].value == 1
    assert scores["recoverable",].value == 0.5
    assert scores["change",].per_image == pytest.approx([0.05 - turn, 0.1 * (steps - round(turn * 10))], rel=1e-5)
    assert scores["at_step", 1].per_image == pytest.approx([0.1, 0.1], rel=1e-5)
