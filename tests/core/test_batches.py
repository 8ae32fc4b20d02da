"""Batches as large as the device likes, and smaller where its memory is full."""

import pytest
import torch
from torch import nn

from bench_core.batches import FASTEST, at_once, in_parts

CPU = torch.device("cpu")


class Crowded:
    """Squares numbers, `limit` inputs at a time; more are out of memory. Remembers how it was asked."""

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
    crowded = Crowded(numbers, inputs, limit)
    assert torch.equal(torch.cat(list(in_parts(crowded, rows, inputs, model, CPU))), numbers**2)
    finished = [size for size in crowded.tried if size * inputs <= limit]
    assert sum(finished) == rows
    assert at_once(model, CPU) <= max(limit, FASTEST["cpu"])


def test_what_did_not_fit_is_not_tried_again() -> None:
    model = nn.Identity()
    first = Crowded(torch.arange(64), 1, 16)
    list(in_parts(first, 64, 1, model, CPU))
    assert first.tried == [64, 32, 16, 16, 16, 16]
    again = Crowded(torch.arange(64), 1, 16)
    list(in_parts(again, 64, 1, model, CPU))
    assert again.tried == [16, 16, 16, 16]
    assert at_once(nn.Identity(), CPU) == FASTEST["cpu"]


def test_a_single_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        list(in_parts(Crowded(torch.arange(3), 9, 8), 3, 9, nn.Identity(), CPU))
