"""A network must have as many outputs as its dataset has classes, if the dataset states their number."""

import pytest
import torch

from bench_core.errors import UsageError
from bench_core.worker.contracts import check_logits


def test_a_number_of_outputs_other_than_that_of_classes_is_reported() -> None:
    labels = torch.tensor([0, 2])
    for classes in (None, 10):
        check_logits(torch.zeros(2, 10), labels, "A", classes)
    with pytest.raises(UsageError, match=r"models\.A: the network has 11 classes, the data have 10 \(.*label_offset"):
        check_logits(torch.zeros(2, 11), labels, "A", 10)
