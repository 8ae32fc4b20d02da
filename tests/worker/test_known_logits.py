"""Clean images are classified once for all attacks on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench_core.batches import batched_forward
from bench_core.registry import Registry
from bench_core.run_suite import run
from bench_core.worker import job, known_logits
from bench_core.worker.instrument import CachedForward
from bench_core.worker.known_logits import KnownLogits
from tests.toys import ToyImages, toy_network

ATTACKS = '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }\n"VR" = { recipe = "vr" }'


def clean_batches(size: int, count: int) -> set[bytes]:
    pixels = ToyImages().pixels[:count]
    return {pixels[start : start + size].tobytes() for start in range(0, count, size)}


@pytest.mark.parametrize(("kept", "times"), [(8, 1), (0, 3)])
def test_several_attacks_share_the_clean_pass_of_a_target(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    kept: int, times: int,
) -> None:  # fmt: skip
    calls: Counter[tuple[int, bytes]] = Counter()

    def counting(network: nn.Module, images: Tensor) -> Tensor:
        calls[id(network), images.numpy().tobytes()] += 1
        return batched_forward(network, images)

    suite = write_suite(
        ('"PGD" = { recipe = "pgd" }', ATTACKS), ("[metrics]", '[metrics]\nutility = { recipe = "transfer_utility" }'),
        ('["A", ["A", "B"]]', '["A"]'), ("count = 12", "count = 10"),
    )  # fmt: skip
    monkeypatch.setattr(job, "batched_forward", counting)
    monkeypatch.setattr(known_logits, "KEPT", kept)
    result = run(suite, out=tmp_path, executor="inline", registry=registry)
    assert result.complete
    clean = clean_batches(5, 10)
    assert {images for _, images in calls} == clean
    assert len(calls) == 4, "two targets, two micro-batches"
    assert set(calls.values()) == {times}


def test_what_is_returned_may_be_written_into_and_gradients_are_never_shared() -> None:
    network, images = toy_network(), torch.rand(3, 1, 4, 4)
    known, expected = KnownLogits(), network(images)
    cached = CachedForward(network, images, lambda: known.get(network, "clean", lambda: network(images)))
    cached(images).zero_()
    assert torch.equal(cached(images), expected)
    assert torch.equal(cached(images + 0.1), network(images + 0.1))
    with torch.enable_grad():
        images.requires_grad_(True)
        assert cached(images).requires_grad


def test_only_the_last_batches_are_kept_and_none_of_a_network_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    known, networks, computed = KnownLogits(), [toy_network()], list[int]()
    monkeypatch.setattr(known_logits, "KEPT", 2)

    def ask(key: int) -> None:
        known.get(networks[0], key, lambda: computed.append(key) or torch.zeros(1))

    for key in (1, 2, 1, 3, 1, 2):
        ask(key)
    assert computed == [1, 2, 3, 2]
    networks.clear()
    assert not known.by_network
