"""Which first images of a dataset may stand for it, where accuracies are compared with those expected over all."""

import numpy as np

from bench_core.planning.accuracy import ENOUGH, stand_for


def test_a_random_order_needs_a_thousand_images_and_a_sorted_one_nearly_all() -> None:
    labels = np.repeat(np.arange(1000), 50)
    mixed = np.random.default_rng(0).permutation(labels).tolist()
    assert [stand_for(mixed, count) for count in (0, ENOUGH - 1, ENOUGH, 5000)] == [False, False, True, True]
    assert not any(stand_for(labels.tolist(), count) for count in (ENOUGH, 25_000, 44_000))
    assert stand_for(labels.tolist(), len(labels))


def test_a_small_dataset_is_needed_whole() -> None:
    assert [stand_for([0, 1] * 10, count) for count in (0, 19, 20)] == [False, False, True]
