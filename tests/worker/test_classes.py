"""A network's outputs are held against the number of classes of a dataset that knows it."""

import pytest
import torch

from bench_core.errors import UsageError
from bench_core.worker.contracts import check_logits


def test_other_outputs_than_the_dataset_has_classes_are_said() -> None:
    labels = torch.tensor([0, 2])
    for classes in (None, 10):
        check_logits(torch.zeros(2, 10), labels, "A", classes)
    with pytest.raises(UsageError, match=r"models\.A: the network has 11 classes, the data have 10 \(.*label_offset"):
        check_logits(torch.zeros(2, 11), labels, "A", 10)
