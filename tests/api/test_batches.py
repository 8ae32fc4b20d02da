"""Batches of the size that is fastest on the device, and smaller where memory runs out."""

import pytest
import torch
from torch import nn

from bench_core.batches import FASTEST, MIN_IMAGES, answered, at_once, batched_forward, in_parts, in_passes

SMALL = torch.zeros(1, 1, 28, 28)


class LimitedMemory:
    """Squares numbers, at most `limit` inputs at a time; more run out of memory. Records the sizes tried."""

    def __init__(self, numbers: torch.Tensor, inputs: int, limit: int) -> None:
        self.numbers, self.inputs, self.limit = numbers, inputs, limit
        self.tried: list[int] = []

    def __call__(self, rows: slice) -> torch.Tensor:
        part = self.numbers[rows]
        self.tried.append(len(part))
        if len(part) * self.inputs > self.limit:
            raise torch.OutOfMemoryError("full")
        return part**2


@pytest.mark.parametrize("rows", [1, 5, 64, 200])
@pytest.mark.parametrize("inputs", [1, 9, 65])
@pytest.mark.parametrize("limit", [65, 70, 10_000])
def test_every_row_is_computed_once_and_in_order_however_small_the_memory(rows: int, inputs: int, limit: int) -> None:
    numbers, model = torch.arange(rows), nn.Identity()
    compute = LimitedMemory(numbers, inputs, limit)
    assert torch.equal(torch.cat(list(in_parts(compute, rows, inputs, model, SMALL))), numbers**2)
    finished = [size for size in compute.tried if size * inputs <= limit]
    assert sum(finished) == rows
    assert at_once(model, SMALL) <= max(limit, FASTEST["cpu"])


def test_parts_are_of_about_equal_size() -> None:
    compute = LimitedMemory(torch.arange(25), 9, 1000)
    list(in_parts(compute, 25, 9, nn.Identity(), SMALL))
    assert compute.tried == [7, 6, 6, 6]


def test_a_size_that_did_not_fit_is_not_tried_again() -> None:
    model = nn.Identity()
    first = LimitedMemory(torch.arange(64), 1, 16)
    list(in_parts(first, 64, 1, model, SMALL))
    assert first.tried == [64, 32, 16, 16, 16, 16]
    again = LimitedMemory(torch.arange(64), 1, 16)
    list(in_parts(again, 64, 1, model, SMALL))
    assert again.tried == [16, 16, 16, 16]
    assert at_once(nn.Identity(), SMALL) == FASTEST["cpu"]


@pytest.mark.parametrize(
    ("side", "fits"), [(8, 64), (28, 64), (32, 49), (64, 12), (224, MIN_IMAGES), (1000, MIN_IMAGES)]
)
def test_larger_images_have_smaller_batches(side: int, fits: int) -> None:
    assert at_once(nn.Identity(), torch.zeros(5, 3, side, side)) == fits


@pytest.mark.parametrize(("count", "passes"), [(1, [1]), (11, [11]), (12, [6, 6]), (65, [9, *[8] * 7])])
def test_inputs_of_a_gradient_are_split_into_passes_of_about_equal_size(count: int, passes: list[int]) -> None:
    network, sizes = nn.Flatten(), []
    images = torch.rand(count, 1, 224, 224, requires_grad=True)

    def answer(part: torch.Tensor) -> torch.Tensor:
        sizes.append(len(part))
        return network(part).pow(2).sum(1)

    total = in_passes(answer, images, network).sum()
    (gradient,) = torch.autograd.grad(total, images)
    assert sizes == passes
    assert torch.equal(gradient, 2 * images)


def test_a_single_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        list(in_parts(LimitedMemory(torch.arange(3), 9, 8), 3, 9, nn.Identity(), SMALL))


def test_a_batched_forward_is_the_forward_of_all_inputs() -> None:
    network, images = nn.Flatten(), torch.rand(150, 1, 28, 28)
    assert torch.equal(batched_forward(network, images), network(images))
    assert answered is batched_forward  # the name that plugins of version 1 may import
