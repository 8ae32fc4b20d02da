"""Square, against a transcription of one image at a time in float64, and against the libraries' success."""

import math

import pytest
import torch
from torch import Tensor

from bench_attacks.parts.square import HALVED_AT, share_of_pixels
from bench_attacks.square_moves import bars, peaks
from bench_core.logits import margin
from bench_core.statistics import proportion
from bench_core.testing.inputs import examples, network
from bench_core.types import Examples, Norm
from bench_core.worker.streams import ImageStreams

from .scene import budget, build, run

QUERIES = 60


def sign(drawn: float) -> float:
    return 1.0 if 2 * drawn - 1 > 0 else -1.0


class OneImage:
    """Square on one image [c, h, w], with loops and slices, as alg. 1 to 3 and the code of AutoAttack have them."""

    def __init__(self, model: torch.nn.Module, given: Examples, eps: float, queries: int) -> None:
        self.model, self.eps, self.iterations = model, eps, queries - 1
        self.clean, self.label = given.images[0], given.labels
        self.rng = ImageStreams(0, given.ids)

    def drawn(self, purpose: str, step: int, *shape: int) -> Tensor:
        return self.rng.uniform(purpose, step, shape)[0].double()

    def lead(self, image: Tensor) -> float:
        return float(margin(self.model(image[None]), self.label))

    def attack(self, norm: str) -> Tensor:
        best = self.stripes() if norm == "linf" else self.grid()
        value = self.lead(best)
        for i in range(self.iterations):
            if value > 0:
                return best
            p = share_of_pixels(0.8, i, self.iterations)
            trial = self.square(best, p, i) if norm == "linf" else self.bar(best, p, i)
            if self.lead(trial) > value:
                best, value = trial, self.lead(trial)
        return best if value > 0 else self.clean

    def stripes(self) -> Tensor:
        c, _, w = self.clean.shape
        drawn, image = self.drawn("square stripes", 0, c, 1, w), self.clean.clone()
        for channel in range(c):
            for column in range(w):
                image[channel, :, column] += self.eps * sign(float(drawn[channel, 0, column]))
        return image.clamp(0, 1)

    def square(self, best: Tensor, p: float, i: int) -> Tensor:
        c, h, w = self.clean.shape
        side, drawn, image = max(round(math.sqrt(p * h * w)), 1), self.drawn("square", i, 2 + c), best.clone()
        top, left = int(float(drawn[0]) * (h - side)), int(float(drawn[1]) * (w - side))
        for channel in range(c):
            image[channel, top : top + side, left : left + side] += 2 * self.eps * sign(float(drawn[2 + channel]))
        return torch.minimum(torch.maximum(image, self.clean - self.eps), self.clean + self.eps).clamp(0, 1)

    def made(self, side: int, upright: float) -> Tensor:
        pair = torch.cat([peaks(side // 2, side), -peaks(side - side // 2, side)]) / math.sqrt(2)
        return pair.T if upright > 0.5 else pair

    def scaled(self, delta: Tensor) -> Tensor:
        return (self.clean + self.eps * delta / delta.norm()).clamp(0, 1)

    def grid(self) -> Tensor:
        c, h, w = self.clean.shape
        side, delta = h // 5, torch.zeros_like(self.clean)
        start, tile = (h - 5 * side) // 2, 0
        drawn = self.drawn("square grid", 0, (h // side) * (w // side), 1 + c)
        for row in range(h // side):
            for column in range(w // side):
                top, left = start + row * side, start + column * side
                for channel in range(c):
                    part = delta[channel, top : top + side, left : left + side]
                    part += (self.made(side, float(drawn[tile, 0])) * sign(float(drawn[tile, 1 + channel])))[
                        : part.shape[0], : part.shape[1]
                    ]
                tile += 1
        return self.scaled(delta)

    def bar(self, best: Tensor, p: float, i: int) -> Tensor:
        c, h, w = self.clean.shape
        side, drawn, delta = max(round(math.sqrt(p * h * w)), 3), self.drawn("square", i, 5 + c), best - self.clean
        side = min(side + 1 if side % 2 == 0 else side, min(h, w) if min(h, w) % 2 else min(h, w) - 1)
        places = [int(float(number) * (room - side)) for number, room in zip(drawn[:4], (h, w, h, w), strict=True)]
        first, second = (
            (slice(None), slice(top, top + side), slice(left, left + side)) for top, left in (places[:2], places[2:])
        )
        both = torch.zeros_like(delta)
        both[first] = both[second] = 1
        mass, unused = (delta * both).norm() ** 2, max(self.eps**2 - float(delta.norm()) ** 2, 0) / c
        new = torch.zeros_like(delta[first])
        for channel in range(c):
            old = delta[first][channel]
            one = self.made(side, float(drawn[4])) * sign(float(drawn[5 + channel])) + old / (1e-12 + old.norm())
            new[channel] = one / one.norm() * (unused + mass).sqrt()
        delta = delta.clone()
        delta[second] = 0
        delta[first] = new
        return self.scaled(delta)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 13, 11)])
def test_a_batch_gives_what_each_image_alone_gives_by_hand(norm: Norm, shape: tuple[int, int, int]) -> None:
    eps = {"linf": 0.2, "l2": 1.2}[norm]
    model = network(shape[0])
    given = examples(model, shape, 8, dtype=torch.float64)
    found = run(build("square", budget(norm, eps=eps, steps=QUERIES, loss="margin"), shape), model, given)[-1]
    for i in range(8):
        expected = OneImage(model, given.take(slice(i, i + 1)), eps, QUERIES).attack(norm)
        assert (found[i] - expected).abs().max() < 1e-9
    assert (found != given.images).flatten(1).any(1).any()


def test_the_schedule_is_that_of_the_authors() -> None:
    library = pytest.importorskip("pyautoattack.square").SquareAttack(None, n_queries=500, eps=1.0)
    theirs = [library.p_selection(i) for i in range(500)]
    assert [share_of_pixels(0.8, i, 500) for i in range(500)] == pytest.approx(theirs)
    assert len(set(theirs)) == len(HALVED_AT) + 1


@pytest.mark.parametrize("side", [2, 3, 5, 8, 25])
def test_bars_are_those_of_the_authors(side: int) -> None:
    library = pytest.importorskip("pyautoattack.square").SquareAttack(None, norm="L2", eps=1.0, device="cpu")
    theirs, ours = library.eta(side).double(), bars(side, torch.tensor([0.2, 0.7], dtype=torch.float64))
    assert min((theirs - one[0]).abs().max() for one in ours) < 1e-6


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_fools_as_many_images_as_the_authors_code(norm: Norm) -> None:
    """The intervals of the two shares of fooled images overlap, and neither share is trivial."""
    square = pytest.importorskip("pyautoattack.square")
    eps, count, shape = {"linf": 0.08, "l2": 0.7}[norm], 120, (1, 15, 15)
    model = network()
    given = examples(model, shape, count, dtype=torch.float64)
    images = run(build("square", budget(norm, eps=eps, steps=101, loss="margin"), shape), model, given)[-1]
    ours = proportion("", (model(images).argmax(1) != given.labels).numpy())
    library = square.SquareAttack(model, norm={"linf": "Linf", "l2": "L2"}[norm], n_queries=100, eps=eps, seed=3)
    found = model(library.perturb(given.images.clone(), given.labels.clone())).argmax(1) != given.labels
    theirs = proportion("", found.numpy())
    assert max(ours.low, theirs.low) < min(ours.high, theirs.high)
    assert 0.05 < theirs.value < 0.95
