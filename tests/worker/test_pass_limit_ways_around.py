"""Ways around the limit of passes: each is counted, or refused with a reason."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from bench_core.errors import ContractError
from bench_core.types import Budget, Examples, Model, Streams
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.instrument import PassCounter
from bench_core.worker.pass_limit import IN_VAIN, PassesSpent, PassLimit
from bench_core.worker.streams import ImageStreams

from ..toys import ToyImages, toy_network
from .test_pass_limit import BUDGET, COUNT, Calling, Noting, ascend, examples, limited

Way = Callable[[Model, Examples], None]


class Nested(Noting):
    """A network whose layers are two levels below it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(*map(nn.Sequential, toy_network().children()))
        self.eval().requires_grad_(False)


def layer_by_layer(model: Model, examples: Examples) -> None:
    for _ in range(50):
        images = examples.images
        for layer in [part for part in model.modules() if not [*part.children()]]:
            images = layer(images)


def recorded(model: Model, examples: Examples) -> None:
    torch.jit.trace(model, examples.images, check_trace=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", [layer_by_layer, recorded, lambda model, given: model.forward(given.images)])
@pytest.mark.parametrize("network", [Noting, Nested])
def test_a_call_that_is_not_counted_is_refused_under_a_limit(way: Way, network: type[Noting]) -> None:
    with pytest.raises(ContractError, match="around the count of passes, which the budget limits"):
        limited(Calling(way), 50, network())
    source = network()
    given, passes = examples(source), PassCounter(source)
    list(AttackRun(Calling(way), source, given, ImageStreams(0, given.ids), passes).steps())
    assert passes.bypassed, "without a limit, the run only says so"


def test_a_pickled_copy_is_refused() -> None:
    def pickled(model: Model, _examples: Examples) -> None:
        pickle.dumps(model)

    with pytest.raises(ContractError, match="pickles its source"):
        limited(Calling(pickled), 5, Noting())


def by_name(model: Model, examples: Examples) -> None:
    for _ in range(50):
        model(images=examples.images)


def by_a_copy(model: Model, examples: Examples) -> None:
    other = copy.deepcopy(model)
    for _ in range(50):
        other(examples.images)


def despite_errors(model: Model, examples: Examples) -> None:
    for _ in range(50):
        try:
            model(examples.images)
        except Exception:
            continue


@pytest.mark.parametrize("way", [by_name, by_a_copy, despite_errors])
def test_other_calls_are_counted_and_stopped(way: Way) -> None:
    _, done = limited(Calling(way), 50, Noting())
    assert done.passes.forwards == 50 * COUNT
    assert done.limit is not None
    assert not done.limit.over.any()
    _, done = limited(Calling(way), 7, Noting())
    assert done.passes.forwards == 7 * COUNT
    assert done.limit is not None
    assert done.limit.over.all()


def test_the_end_is_no_exception_that_a_library_could_swallow() -> None:
    assert not issubclass(PassesSpent, Exception)


class Copying:
    """A search that asks a copy of its network, and goes on for ever."""

    all_or_nothing = True

    def __init__(self, copies: bool) -> None:
        self.copies = copies

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        asked, images = copy.deepcopy(model) if self.copies else model, examples.images
        while True:
            images = ascend(asked, images, examples.labels)
        yield images


def test_points_that_a_copy_was_asked_about_count() -> None:
    alone, copied = (limited(Copying(copies), 30, Noting())[1].limit for copies in (False, True))
    assert alone is not None
    assert copied is not None
    assert alone.distances.isfinite().any()
    assert copied.distances.tolist() == alone.distances.tolist()


class Restarts:
    """A search that asks about as many copies of one image at once as there are images, image after image."""

    all_or_nothing = True

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        for image in examples.images:
            for _ in range(self.times):
                model((image + 0.001 * torch.arange(COUNT).view(-1, 1, 1, 1)).clamp(0, 1))
        yield examples.images


def test_copies_of_one_image_are_passes_of_that_image() -> None:
    narrow = Budget("linf", 0.02, 0.01, 10)
    _, done = limited(Restarts(2), 2 * COUNT, Noting(), narrow)
    assert done.limit is not None
    assert done.limit.forwards.tolist() == [2 * COUNT] * COUNT
    assert not done.limit.over.any()
    _, done = limited(Restarts(3), 2 * COUNT, Noting(), narrow)
    assert done.limit is not None
    assert done.limit.forwards.tolist() == [2 * COUNT] * COUNT
    assert done.limit.over.all()


def test_images_of_a_whole_batch_that_left_their_balls_are_still_in_order() -> None:
    given = examples(toy_network())
    limit = PassLimit(9, given, Budget("linf", 0.02, 0.01, 10), searches=True)
    assert limit.owners((given.images + 0.4).clamp(0, 1)).tolist() == [*range(COUNT)]
    assert limit.owners(given.images).tolist() == [*range(COUNT)]


class Stuck:
    """A search that never leaves its first image."""

    all_or_nothing = True

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        while True:
            model(examples.images[:1])
        yield examples.images


def test_a_search_that_never_leaves_an_image_is_stopped() -> None:
    network = Noting()
    steps, done = limited(Stuck(), 5, network)
    assert network.forwards == 5 + IN_VAIN * 5
    assert done.limit is not None
    assert done.limit.over.all()
    assert done.limit.forwards.tolist() == [5, 0, 0, 0, 0, 0]
    assert torch.equal(steps[-1], torch.from_numpy(ToyImages(COUNT).pixels))


class Parts:
    """An attack that is no search, asks about parts of the batch, and would return at the end."""

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        images = examples.images
        for _ in range(100):
            images = ascend(model, images, examples.labels, 3)
        yield images


def test_what_an_attack_asked_about_in_parts_counts_for_the_right_images() -> None:
    network = Noting()
    steps, done = limited(Parts(), 30, network)
    given = examples(network)
    assert done.limit is not None
    whole = limited(Copying(False), 30, Noting())[1].limit
    assert whole is not None
    assert done.limit.distances.tolist() == pytest.approx(whole.distances.tolist(), abs=1e-6)
    fooled = network.network(steps[-1]).argmax(1) != given.labels
    assert fooled.tolist() == whole.distances.isfinite().tolist()
    assert BUDGET.norm == "l2"


def test_of_several_points_in_one_call_the_nearest_that_fools_counts() -> None:
    """In whatever order, and where attacks are targeted, only those of the target class."""
    clean = torch.full((2, 1, 2, 2), 0.5)
    labels, wanted = torch.tensor([0, 0]), torch.tensor([2, 2])
    points = clean[[0] * 4] + torch.tensor([0.3, 0.1, 0.2, 0.05]).view(4, 1, 1, 1)
    logits = torch.eye(3)[torch.tensor([2, 1, 2, 0])]
    for targets, nearest in ((None, 0.1), (wanted, 0.2)):
        for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]):
            limit = PassLimit(9, Examples(clean, labels, ("a", "b"), targets), Budget("linf", 0.4, 0.1, 9), True)
            limit.observe(None, (points[order],), {}, logits[order])
            assert limit.distances.tolist() == pytest.approx([nearest, torch.inf])
            assert limit.images[0].mean().item() == pytest.approx(0.5 + nearest)
