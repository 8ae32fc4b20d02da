"""Transfer metrics against brute force."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench_core.types import Examples, Step
from bench_metrics.clean_accuracy import CleanAccuracy
from bench_metrics.transfer import TransferSuccess, leave_one_out
from bench_metrics.transfer_last import LastTransfer
from bench_metrics.transfer_utility import TransferUtility
from tests.properties import UNTIMED
from tests.toys import CLASSES, toy_network


@UNTIMED
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 8))))
def test_leave_one_out_equals_its_definition(fooled: np.ndarray) -> None:
    outcomes, chosen = leave_one_out(fooled)
    for i in range(len(fooled)):
        others = np.delete(fooled, i, axis=0).sum(axis=0)
        best = next(t for t in range(fooled.shape[1]) if others[t] == others.max())
        assert chosen[i] == best
        assert outcomes[i] == fooled[i, best]


def examples(n: int = 6) -> Examples:
    generator = torch.Generator().manual_seed(0)
    return Examples(torch.rand(n, 1, 4, 4, generator=generator), torch.arange(n) % CLASSES, tuple("abcdef"[:n]))


def test_success_is_recorded_at_every_step_and_scored_three_ways() -> None:
    clean, network = examples(), toy_network(5)
    steps = [clean.images + 0.3 * k for k in range(3)]
    fooled = torch.stack(
        [TransferSuccess().observe(Step(k + 1, x), clean, network)["fooled"] for k, x in enumerate(steps)], 1
    )
    expected = torch.stack([network(x).argmax(1) != clean.labels for x in steps], 1)
    assert torch.equal(fooled, expected)
    scores = list(TransferSuccess().summarise({"fooled": fooled.numpy()}))
    by_name = {(s.name, s.labels.get("step")): s.value for s in scores}
    assert by_name["last", None] == expected[:, -1].float().mean()
    assert by_name["success", None] == leave_one_out(expected.numpy())[0].mean()
    assert [by_name["at_step", k] for k in (1, 2, 3)] == expected.double().mean(0).tolist()
    assert {s.n for s in scores} == {6}


def test_a_targeted_attack_succeeds_only_in_its_target_class() -> None:
    clean, network = examples(), toy_network(5)
    guesses = network(clean.images).argmax(1)
    targeted = Examples(clean.images, clean.labels, clean.ids, guesses.clone())
    assert TransferSuccess().observe(Step(1, clean.images), targeted, network)["fooled"].all()
    targeted.targets[:] = (guesses + 1) % CLASSES
    assert not TransferSuccess().observe(Step(1, clean.images), targeted, network)["fooled"].any()


def test_utility_is_the_change_of_the_margin() -> None:
    clean, network = examples(), toy_network(5)
    moved = clean.images.flip(0)
    utility = TransferUtility().observe(moved, clean, network)["utility"]
    for i in range(6):
        before, after = network(clean.images[i : i + 1])[0], network(moved[i : i + 1])[0]
        y = int(clean.labels[i])
        margins = [max(h[k] for k in range(CLASSES) if k != y) - h[y] for h in (after, before)]
        assert torch.isclose(utility[i], margins[0] - margins[1], atol=1e-5)


def test_accuracy_counts_correct_predictions() -> None:
    clean, network = examples(), toy_network(5)
    right = network(clean.images).argmax(1) == clean.labels
    rows = CleanAccuracy().observe(clean, network)
    assert torch.equal(rows["correct"], right)
    (score,) = CleanAccuracy().summarise({"correct": right.numpy()})
    assert score.value == right.float().mean()


def test_the_success_of_the_last_step_is_that_of_all_steps_at_the_last() -> None:
    clean, network = examples(), toy_network(5)
    for targets in (None, torch.zeros_like(clean.labels)):
        given_clean = replace(clean, targets=targets)
        images = clean.images + 0.6
        last = LastTransfer().observe(images, given_clean, network)
        (score,) = LastTransfer().summarise({"fooled": last["fooled"].numpy()})
        every = TransferSuccess().observe(Step(3, images), given_clean, network)
        assert torch.equal(last["fooled"], every["fooled"])
        assert score.value == every["fooled"].double().mean()
