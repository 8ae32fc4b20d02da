"""`--memory`: batches that fit, the same results, and a clear refusal where not even one image fits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench_core import run
from bench_core.batches import at_once, room
from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.worker import memory
from bench_core.worker.build import Builder
from bench_core.worker.memory import ATTACK_COPIES, LARGEST, PROCESS, footprint, weights_of, within
from bench_core.worker.watch import Named

from ..toys import toy_network

IMAGES = torch.rand(6, 1, 12, 12)


class Fails(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise ValueError("on purpose")


class Draws(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images + torch.rand_like(images)).flatten(1)


def squares(depth: int) -> nn.Module:
    """Return a network that squares its images `depth` times: autograd keeps the input of each square."""

    class Square(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * images

    return nn.Sequential(*(Square() for _ in range(depth)), nn.Flatten())


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_a_footprint_is_what_autograd_keeps_and_the_largest_of_it_again(depth: int) -> None:
    image = IMAGES[:1]
    assert footprint(squares(depth), image) == (depth + LARGEST) * image.nbytes


def test_weights_are_no_part_of_a_footprint_and_count_once() -> None:
    layer = nn.Linear(144, 1000, bias=False).requires_grad_(False)
    network = nn.Sequential(nn.Flatten(), layer)
    assert footprint(network, IMAGES[:1]) == IMAGES[:1].nbytes  # a linear network keeps nothing but its weights
    assert weights_of([network, layer]) == 144 * 1000 * 4


def test_measuring_leaves_random_states_alone_and_a_network_that_fails_to_the_job() -> None:
    before = torch.get_rng_state()
    assert footprint(Fails(), IMAGES[:1]) == IMAGES[:1].nbytes
    footprint(Draws(), IMAGES[:1])
    assert torch.equal(torch.get_rng_state(), before)


def limit_for(networks: list[nn.Module], images: int) -> int:
    """Return the limit under which `images` gradients of squares(1) fit beside all else, with the share of networks."""
    other = PROCESS + (ATTACK_COPIES + len(networks)) * IMAGES.nbytes
    return int((other + images * (1 + LARGEST) * IMAGES[:1].nbytes) / (1 - 0.25)) + 1


@pytest.mark.parametrize("fits", [1, 3, 7])
def test_as_many_images_as_fit_are_computed_at_once(fits: int) -> None:
    network = squares(1)
    with within(limit_for([network], fits), [Named("N", "", network)], ["N"], IMAGES):
        assert room(network) == fits
        assert at_once(network, IMAGES) == fits
    assert room(network) is None


def test_the_members_of_an_ensemble_share_the_room() -> None:
    first, second = squares(1), squares(4)  # footprints of 3 and 6 images
    named = [Named("A", "", first), Named("B", "", second)]
    with within(limit_for([first, second], 12), named, ["A", "B"], IMAGES):
        assert (room(first), room(second)) == (12, 6)
        assert room(nn.ModuleList([first, second])) == 4
        assert room(nn.Identity()) == 6, "an unknown network gets no more than the largest one"


def test_a_limit_that_is_too_small_is_refused_with_one_that_suffices() -> None:
    network = squares(1)
    named = [Named("N", "", network)]
    message = r"^--memory: 100 MiB is too little to attack N \(try \d+M\)$"
    with pytest.raises(UsageError, match=message) as refused, within(100 * 2**20, named, ["N"], IMAGES):
        pass
    enough = int(str(refused.value).split("try ")[1].rstrip("M)")) * 2**20
    with within(enough, named, ["N"], IMAGES):
        assert room(network)


def test_networks_that_a_job_does_not_need_are_evicted_down_to_their_share(registry: Registry) -> None:
    builder = Builder(registry)
    builder.models.update({name: nn.Linear(1000, 1000) for name in "ABCD"})  # 4 MB each
    needed = builder.models["D"]
    builder.make_room([Named("D", "", needed)], None)
    assert len(builder.models) == 4
    builder.make_room([Named("D", "", needed)], 40 * 10**6)
    assert list(builder.models) == ["C", "D"]
    builder.make_room([Named("D", "", needed)], 1)
    assert list(builder.models) == ["D"]


@pytest.mark.parametrize("attack", ['{ recipe = "pgd" }', '{ recipe = "ir", grid = 2, cells = 2, samples = 8 }'])
def test_a_run_with_little_memory_has_the_same_rows(
    attack: str, registry: Registry, write_suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forwards that are repeated are no passes, the gradients are equal to the bit, and so are all addresses."""
    monkeypatch.setattr("bench_core.batches.FASTEST", {"cpu": 4})  # so that 17 inputs of an image are several passes
    suite = write_suite(('{ recipe = "pgd" }', attack))
    calls: list[int] = []
    forward = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, given: calls.append(len(given)) or forward(self, given))
    usual = run(suite, out=tmp_path / "usual", registry=registry, executor="inline")
    passed = sum(calls)
    calls.clear()
    footprints = footprint(toy_network(), torch.zeros(1, 1, 4, 4))
    monkeypatch.setattr(memory, "PROCESS", 0)
    monkeypatch.setattr(memory, "ATTACK_COPIES", 0)
    monkeypatch.setattr(memory, "weights_of", lambda _networks: 0)
    monkeypatch.setattr(memory, "KEPT_SHARE", 0.0)
    limit = 2 * 5 * 64 + 2 * 4 * footprints  # both networks' copies; 4 inputs of an ensemble of two
    little = run(suite, out=tmp_path / "little", registry=registry, executor="inline", memory=limit)
    assert (sum(calls) > passed + 100) == ('"ir"' in attack), "only sampling has more inputs than fit"
    for source in ("A", "A+B"):
        for metric, target in (("transfer", "B"), ("attack", None)):
            select = {"source": source, "attack": "PGD"} | ({"target": target} if target else {})
            expected, found = (result.arrays(metric, **select) for result in (usual, little))
            for name in expected:
                assert np.array_equal(expected[name], found[name], equal_nan=True), name
    stored = [sorted(path.name for path in (tmp_path / name / "store").rglob("*")) for name in ("usual", "little")]
    assert stored[0] == stored[1], "equal addresses with equal bundles"
