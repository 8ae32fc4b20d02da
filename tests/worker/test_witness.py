"""The host's diagnostics of an attack against closed forms; randomised networks have their own streams."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.batches import at_once
from bench_core.types import Budget, Examples
from bench_core.worker.diagnostics import EXAMINED_IMAGES, AttackDiagnostics, NoiseLogits, examine, noise_of_size
from bench_core.worker.rng_state import RandomStates, is_randomised, separate_streams
from bench_core.worker.streams import ImageStreams
from tests.toys import ToyImages, toy_network

BUDGET = Budget("linf", 0.1, 0.01, 40)


def examples(count: int = 6) -> Examples:
    data = ToyImages(count)
    images = torch.from_numpy(data.load(range(count)))
    return Examples(images, torch.tensor(data.labels), tuple(data.ids))


def streams(given: Examples) -> ImageStreams:
    return ImageStreams(0, given.ids)


def test_noise_is_as_large_as_the_budget_and_differs_between_images() -> None:
    given = examples()
    grey = torch.full_like(given.images, 0.5)
    flat = {norm: (noise_of_size(grey, norm, 0.1, streams(given)) - grey).flatten(1) for norm in ("linf", "l2")}
    assert torch.allclose(flat["linf"].abs(), torch.full_like(flat["linf"], 0.1))
    assert torch.allclose(flat["l2"].norm(dim=1), torch.full((6,), 0.1))
    alone = noise_of_size(grey[2:3], "l2", 0.1, ImageStreams(0, given.ids[2:3])) - grey[2:3]
    assert torch.equal(alone.flatten(1), flat["l2"][2:3])


@pytest.mark.parametrize(("steps", "looked_at"), [(40, 30), (10, 5), (3, 2), (1, None)])
def test_the_witness_looks_back_by_ten_steps_or_half_of_all(steps: int, looked_at: int | None) -> None:
    given, network = examples(), toy_network()
    witness = AttackDiagnostics(network, given, replace(BUDGET, steps=steps), streams(given))
    for index in range(1, steps + 1):
        witness.step(index, given.images * (1 - index / 100))
    rows = witness.rows(given.images)
    logits = network(given.images)
    wrong = logits.scatter(1, given.labels[:, None], -torch.inf).amax(1)
    assert torch.allclose(rows["margin"], wrong - logits.gather(1, given.labels[:, None])[:, 0])
    if looked_at is None:
        assert rows["margin_before"].isnan().all()
    else:
        assert torch.equal(rows["margin_before"], witness.attack_margin(given.images * (1 - looked_at / 100)))


def test_noise_is_classified_once_for_the_attacks_on_a_source() -> None:
    given, network, calls = examples(), toy_network(), []
    network.register_forward_hook(lambda *_: calls.append(1))
    noisy = NoiseLogits()
    first, second = (AttackDiagnostics(network, given, BUDGET, streams(given), noisy=noisy) for _ in range(2))
    aimed = replace(given, targets=(given.labels + 1) % 3)
    targeted = AttackDiagnostics(network, aimed, BUDGET, streams(given), noisy=noisy)
    rows = first.rows(given.images)
    assert len(calls) == 2, "the attack's images and noise"
    assert torch.equal(second.rows(given.images)["margin_of_noise"], rows["margin_of_noise"])
    assert len(calls) == 3, "the attack's images alone"
    alone = AttackDiagnostics(network, aimed, BUDGET, streams(given)).rows(given.images)
    assert torch.equal(targeted.rows(given.images)["margin_of_noise"], alone["margin_of_noise"])
    other = [replace(BUDGET, eps=0.2), replace(BUDGET, norm="l2")]
    for budget in other:
        alone = AttackDiagnostics(network, given, budget, streams(given)).rows(given.images)
        kept = AttackDiagnostics(network, given, budget, streams(given), noisy=noisy).rows(given.images)
        assert torch.equal(kept["margin_of_noise"], alone["margin_of_noise"])


def test_the_margin_of_a_targeted_attack_is_that_of_its_target() -> None:
    given, network = examples(), toy_network()
    predicted = network(given.images).argmax(1)
    for shift, fooled in ((0, True), (1, False)):
        aimed = Examples(given.images, given.labels, given.ids, (predicted + shift) % 3)
        assert (
            bool((AttackDiagnostics(network, aimed, BUDGET, streams(given)).attack_margin(given.images) > 0).all())
            == fooled
        )


def test_only_the_first_images_are_examined() -> None:
    rows = examine(toy_network(), examples(EXAMINED_IMAGES + 8))
    assert rows["examined"].tolist() == [True] * EXAMINED_IMAGES + [False] * 8
    assert not any(row.any() for name, row in rows.items() if name != "examined")


def test_no_more_images_are_examined_than_are_passed_at_once() -> None:
    """A gradient of 32 large images at once would take gigabytes."""
    images = torch.rand(12, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    given = Examples(images, torch.zeros(12, dtype=torch.long), tuple(map(str, range(12))))
    network, sizes = toy_network(shape=(3, 224, 224)), list[int]()
    network.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    rows = examine(network, given)
    assert rows["examined"].tolist() == [True] * at_once(network, images) + [False] * (12 - at_once(network, images))
    assert max(sizes) == at_once(network, images) < len(images)


class Drawing(nn.Module):
    """Adds a number from each of the generators of a process."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) + torch.rand(1) + np.random.random() + random.random()


def test_a_network_that_draws_moves_no_generator_but_its_own() -> None:
    image, network = examples(1).images, Drawing()
    assert is_randomised(network, image)
    assert not is_randomised(toy_network(), image)
    seen = []
    for _ in range(2):
        before = RandomStates()
        with separate_streams([network, network], image, 7):
            first, second = network(image), network(image)
        assert RandomStates().differing(before) == []
        seen.append((first, second))
    assert not torch.equal(*seen[0])
    assert all(torch.equal(first, again) for first, again in zip(*seen, strict=True))
    assert not network._forward_hooks
    assert not network._forward_pre_hooks
