"""A checksum of a network sees every written bit, in any memory format and number type."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench_core.errors import ContractError
from bench_core.worker import checksum as module
from bench_core.worker.checksum import checksum
from bench_core.worker.guard import guarded
from bench_core.worker.watch import Named
from bench_core.worker.weights import weights_kept


def network(dtype: torch.dtype, format: torch.memory_format = torch.contiguous_format) -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5, 3, bias=False))
    made[3].weight = nn.Parameter(torch.randn(7, 8)[1:4, 1:6])  # a part of a larger tensor
    return made.eval().to(dtype=dtype, memory_format=format).requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_one_changed_number_changes_the_sum(dtype: torch.dtype, format: torch.memory_format) -> None:
    made = network(dtype, format)
    before = checksum(made)
    assert before == checksum(made)
    for tensor in (*made.parameters(), *made.buffers()):
        for place in (0, -1):
            kept = tensor.clone()
            tensor.data[(place,) * tensor.ndim] += 1
            assert checksum(made) != before
            tensor.data.copy_(kept)
    assert checksum(made) == before


def test_bytes_at_the_end_that_change_against_each_other_change_the_sum() -> None:
    made = nn.Linear(1, 1, bias=False).half().requires_grad_(False)
    made.weight.view(torch.uint8)[:] = torch.tensor([3, 60], dtype=torch.uint8)
    before = checksum(made)
    made.weight.view(torch.uint8)[:] = torch.tensor([4, 59], dtype=torch.uint8)
    assert checksum(made) != before


def test_filters_that_change_places_change_the_sum() -> None:
    made = nn.Conv2d(8, 8, 5).requires_grad_(False)
    before = checksum(made)
    made.weight.data[:] = made.weight[[1, 0, *range(2, 8)]].clone()
    assert checksum(made) != before


@pytest.mark.parametrize("large", [1, 64, 2**16])
def test_every_byte_of_small_and_large_tensors_counts(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", large)
    made = nn.ModuleList([nn.Linear(13, 17), nn.BatchNorm2d(3), nn.Linear(1, 1).half()]).requires_grad_(False)
    before = checksum(made)
    for tensor in (*made.parameters(), *made.buffers()):
        content = tensor.data.view(-1).view(torch.uint8)
        for place in range(len(content)):
            content[place] += 1
            assert checksum(made) != before
            content[place] -= 1
    assert checksum(made) == before


def test_the_weights_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, copying them to the host would take longer than a job."""
    made, images, moved = network(torch.float32), torch.rand(1, 3, 3, 3), list[int]()
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: moved.append(tensor.numel()) or tensor)
    monkeypatch.setattr(torch.Tensor, "numpy", lambda tensor: moved.append(tensor.numel()))
    with guarded(made), weights_kept([Named("A", "", made)]):
        made(images)
    assert not moved


def test_a_write_that_torch_does_not_count_names_the_network() -> None:
    made = network(torch.float32)
    named = [Named("A", "", made)]
    with weights_kept(named):
        made(torch.rand(1, 3, 3, 3))
    version = made[0].weight._version
    with pytest.raises(ContractError, match='of "A" were changed'), weights_kept(named):
        made[0].weight.data.mul_(2)
    assert made[0].weight._version == version
    with weights_kept(named):  # what was found is not found again
        pass


def test_what_a_failing_job_raises_comes_first() -> None:
    made = network(torch.float32)

    def write_and_fail() -> None:
        made[0].weight.data.mul_(2)
        raise KeyError

    with pytest.raises(KeyError), weights_kept([Named("A", "", made)]):
        write_and_fail()
