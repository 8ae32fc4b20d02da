"""Every attack of bench can be stopped after any step and resumed from its state, to the same bits."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.pacing import Pace
from bench_attacks.packing import packed, unpacked
from bench_core.types import Memory
from bench_core.worker.instrument import PassCounter

from .scene import budget, build, cases, donors, examples, network_for, streams

STEPS = 4


def finish(
    attack: GradientAttack, model: nn.Module, memory: Memory, stop: int | None = None
) -> tuple[list[Tensor], dict[str, Tensor], tuple[int, int]]:
    """Return the images after each step, the report, and the passes; of `stop` steps only if it is given."""
    given = examples()
    counter, images, report = PassCounter(model), [], dict[str, Tensor]()
    with counter.counting(), torch.enable_grad():
        steps = attack(model, given, streams(given), memory=memory, **donors(attack, given))
        while stop is None or len(images) < stop:
            try:
                images.append(next(steps).clone())
            except StopIteration as end:
                report = end.value
                break
    assert not counter.bypassed
    return images, report, (counter.forwards, counter.backwards)


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(("name", "norm"), cases())
def test_an_attack_goes_on_from_its_state_to_the_same_bits(name: str, norm: str) -> None:
    def attack() -> GradientAttack:
        made: GradientAttack = build(name, budget(norm, steps=STEPS, random_start=True))
        return made

    if not getattr(attack(), "resumable", False):
        pytest.skip("is no gradient attack")
    model = network_for(attack())
    images, report, passes = finish(attack(), model, Memory())
    for done in range(1, len(images) + 1):
        memory = Memory()
        *_, before = finish(attack(), model, memory, stop=done)
        rest, report_after, after = finish(attack(), model, Memory(through_a_file(memory.state)))
        assert len(rest) == len(images) - done
        assert all(map(torch.equal, rest, images[done:]))
        assert report.keys() == report_after.keys()
        assert all(torch.equal(report[key], report_after[key]) for key in report)
        assert passes == (before[0] + after[0], before[1] + after[1]), "nothing is computed twice"


def test_a_state_keeps_its_classes() -> None:
    pace = Pace.init(torch.rand(2, 1, 3, 3), 0.1)
    state = (pace, None, (torch.ones(2), 3))
    found = unpacked(packed(state), (pace, None, (torch.zeros(2), 0)))
    assert isinstance(found[0], Pace)
    assert torch.equal(found[0].images, pace.images)
    assert (found[1], found[2][1]) == (None, 3)
