"""The limit of an attack's passes is exact, counted for each image by the host, whatever an attack does or declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.hookspecs import hookimpl
from bench_core.norms import perturbation_size
from bench_core.registry import Origin
from bench_core.run_suite import run
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Model, Streams
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter
from bench_core.worker.pass_limit import PassLimit
from bench_core.worker.streams import ImageStreams

from ..toys import SHAPE, ToyImages, toy_network

COUNT = 6
BUDGET = Budget("l2", 2.0, 0.5, 100)


class Noting(nn.Module):
    """A network that notes the rows of its forwards and of its backwards."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.network, self.rows, self.backwards = toy_network(seed), [], 0  # type: ignore[var-annotated]
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        self.rows.append(images.detach().clone())
        if images.requires_grad:
            images = images.view_as(images)
            images.register_hook(self.count)  # after the whole network
        logits: Tensor = self.network(images)
        return logits

    def count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)

    @property
    def forwards(self) -> int:
        return sum(map(len, self.rows))


def examples(network: nn.Module) -> Examples:
    images = torch.from_numpy(ToyImages(COUNT).pixels)
    return Examples(images, network(images).argmax(1), tuple(ToyImages(COUNT).ids))


def ascend(model: Model, images: Tensor, labels: Tensor, parts: int = 1) -> Tensor:
    """Return one step of gradient ascent, of which the batch passes in parts."""
    gradients = []
    for part, label in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        at = part.clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(model(at), label, reduction="sum")
        gradients.append(torch.autograd.grad(loss, at)[0])
    gradient = torch.cat(gradients)
    return (images + 0.05 * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1)


class Ascent:
    """Takes a hundred steps and yields each, whatever the budget says."""

    def __init__(self, parts: int = 1) -> None:
        self.parts = parts

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        images = examples.images
        for _ in range(100):
            images = ascend(model, images, examples.labels, self.parts)
            yield images


class OneByOne:
    """A search that takes the images in turn, with more steps for later ones, and returns at its end."""

    all_or_nothing = True

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        made = []
        for index in range(len(examples.images)):
            rows = slice(index, index + 1)
            images = examples.images[rows]
            for _ in range(4 * (index + 1)):
                images = ascend(model, images, examples.labels[rows])
            made.append(images)
        yield torch.cat(made)


class Together(OneByOne):
    """A search in which images stop at different times, and one that never ends."""

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        images, going = examples.images.clone(), torch.arange(len(examples.images))
        for step in range(1000):
            going = going[(going >= step // 3) | (going == 0)]
            images[going] = ascend(model, images[going], examples.labels[going])
        yield images


def limited(attack: Any, passes: int, network: Noting, budget: Budget = BUDGET) -> tuple[list[Tensor], AttackRun]:
    given = examples(network)
    network.rows.clear()
    network.backwards = 0
    limit = PassLimit(passes, given, budget, getattr(attack, "all_or_nothing", False))
    counter = PassCounter(network, limit=limit)
    run = AttackRun(attack, network, given, ImageStreams(0, given.ids), counter, limit=limit)
    return list(run.steps()), run


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("passes", [1, 2, 3, 7, 20])
def test_no_pass_beyond_the_limit_is_computed(passes: int, parts: int) -> None:
    network = Noting()
    steps, done = limited(Ascent(parts), passes, network)
    assert network.forwards + network.backwards <= passes * COUNT
    assert network.forwards + network.backwards > (passes - 1) * COUNT
    assert (done.passes.forwards, done.passes.backwards) == (network.forwards, network.backwards)
    assert done.limit is not None
    assert done.limit.over.all()
    free = list(Ascent(parts)(network, examples(network), ImageStreams(0, ())))[: passes // 2]
    assert len(steps) == max(1, len(free)), "what was returned before"
    if free:
        assert torch.equal(steps[-1], free[-1])
    else:
        assert torch.equal(steps[-1], examples(network).images), "the clean images, if nothing fools"


def test_an_attack_that_spends_exactly_its_passes_is_not_stopped() -> None:
    class Ten(Ascent):
        def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
            steps = super().__call__(model, examples, rng)
            for _ in range(10):
                yield next(steps)

    for passes, stopped in ((20, False), (19, True)):
        steps, done = limited(Ten(), passes, Noting())
        assert len(steps) == 10 - stopped
        assert done.limit is not None
        assert bool(done.limit.over.any()) is stopped


def nearest(network: Noting, given: Examples, passes: int) -> list[float]:
    """Return, by brute force over what the network was asked, the distance of each image within its first passes.

    Each call is followed by one gradient, so the k-th call of an image is its pass 2k - 1.
    """
    best, calls = [float("inf")] * COUNT, [0] * COUNT
    for rows in network.rows:
        owners = range(COUNT) if len(rows) == COUNT else torch.cdist(rows.flatten(1), given.images.flatten(1)).argmin(1)
        for row, owner in zip(rows, map(int, owners), strict=True):
            calls[owner] += 1
            fooled = int(network.network(row[None]).argmax()) != int(given.labels[owner])
            if fooled and 2 * calls[owner] - 1 <= passes:
                best[owner] = min(best[owner], float((row - given.images[owner]).norm()))
    return best


@pytest.mark.parametrize("passes", [1, 6, 15, 16, 40])
@pytest.mark.parametrize("attack", [OneByOne(), Together()])
def test_a_search_has_what_it_found_with_the_passes_of_each_image(attack: OneByOne, passes: int) -> None:
    network = Noting()
    steps, done = limited(attack, passes, network)
    rows, given = list(network.rows), examples(network)
    network.rows = rows  # `examples` asked, too
    assert done.limit is not None
    expected = nearest(network, given, passes)
    assert done.limit.distances.tolist() == pytest.approx(expected, abs=1e-6)
    assert float((done.limit.forwards + done.limit.backwards).max()) <= passes
    found = torch.tensor(expected).isfinite()
    sizes = perturbation_size(steps[-1] - given.images, "l2")
    assert sizes[found].tolist() == pytest.approx(torch.tensor(expected)[found].tolist(), abs=1e-6)
    check_images(given.images, steps[-1], BUDGET)
    over = done.limit.over & ~found
    assert torch.equal(steps[-1][over], given.images[over]), "nothing that was found later"


def test_a_search_that_never_ends_is_stopped_and_what_is_outside_of_the_ball_does_not_count() -> None:
    network = Noting()
    narrow = Budget("l2", 0.3, 0.5, 100)
    _, done = limited(Together(), 40, network, narrow)
    assert done.limit is not None
    assert done.limit.over[0]
    assert done.limit.distances[done.limit.distances.isfinite()].max() <= 0.3 + 1e-4


class Declared(Ascent):
    """Declares one pass and takes two hundred."""

    cost = Cost(1, 0)


class Plugin:
    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def build(budget: Budget) -> Declared:
            return Declared()

        return {"greedy": AttackRecipe(build, "takes more passes than it declares")}


def test_a_run_says_that_an_attack_was_stopped(registry, write_suite: Callable[..., str], tmp_path: Path) -> None:
    registry.register(Plugin(), Origin("greedy", "tests", "1", "greedy-source"))
    large = 'norm = "l2"\npasses = 9'
    suite = write_suite(('recipe = "pgd"', 'recipe = "greedy"'), ('norm = "linf"', large), ("eps = 0.1", "eps = 2"))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete, result.voids
    for source in ("A", "A+B"):
        rows = result.arrays("attack", source=source)
        assert rows["stopped"].all()
        assert np.all(rows["forwards"] + rows["backwards"] == 9), source
    assert [warning.found for warning in result.warned if "was stopped" in warning.kind] == ["100.0% of images"] * 2


def test_a_part_of_an_image_s_rows_that_does_not_fit_is_refused_whole() -> None:
    network = toy_network()
    given = examples(network)
    limit = PassLimit(5, given, BUDGET, searches=True)
    limit.forward(given.images.repeat(3, 1, 1, 1)[: 2 * COUNT])
    limit.forward(given.images[:1].repeat(4, 1, 1, 1))
    assert limit.forwards.tolist() == [2, *[2] * (COUNT - 1)]
    assert limit.over.tolist() == [True, *[False] * (COUNT - 1)]
    assert given.images.shape[1:] == SHAPE


class Calling:
    """Makes the source compute fifty batches in one of the ways that torch has, and returns the clean images."""

    def __init__(self, way: Callable[[Model, Examples], None]) -> None:
        self.way = way

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        self.way(model, examples)
        yield examples.images


def by_vmap(model: Model, examples: Examples) -> None:
    torch.func.vmap(model)(torch.stack([examples.images] * 50))


def by_vmap_of_vmap(model: Model, examples: Examples) -> None:
    torch.func.vmap(torch.func.vmap(model))(torch.stack([torch.stack([examples.images] * 10)] * 5))


def by_gradient(model: Model, examples: Examples) -> None:
    for _ in range(25):
        torch.func.grad(lambda images: nn.functional.cross_entropy(model(images), examples.labels))(examples.images)


def by_hook(model: Model, examples: Examples) -> None:
    def call(*_: Any) -> None:
        handle.remove()
        for _ in range(49):
            model(examples.images)

    handle = next(iter(model.children())).register_forward_pre_hook(call)
    try:
        model(examples.images)
    finally:
        handle.remove()


@pytest.mark.parametrize("way", [by_vmap, by_vmap_of_vmap, by_gradient, by_hook])
def test_passes_count_in_whatever_way_the_network_is_called(way: Callable[[Model, Examples], None]) -> None:
    _, done = limited(Calling(way), 50, Noting())
    assert done.passes.forwards + done.passes.backwards == 50 * COUNT
    assert done.limit is not None
    assert not done.limit.over.any()
    _, done = limited(Calling(way), 49, Noting())
    assert done.limit is not None
    assert done.limit.over.all()


def test_several_gradients_at_once_are_as_many_passes() -> None:
    def jacobians(model: Model, examples: Examples) -> None:
        torch.func.vmap(torch.func.jacrev(lambda image: model(image[None])[0]))(examples.images)

    _, done = limited(Calling(jacobians), 4, Noting())
    assert (done.passes.forwards, done.passes.backwards) == (COUNT, 3 * COUNT), "a gradient for each of three classes"
