"""The losses that a suite can name, against their formulas."""

import pytest
import torch

from bench_core.logits import LOSSES

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 3.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
CLASSES = torch.tensor([0, 2, 1])


def test_logit_and_probability_are_those_of_the_class_negated() -> None:
    assert LOSSES["logit"](LOGITS, CLASSES).tolist() == [-2, -3, -1]
    odds = LOGITS.exp()
    expected = -torch.stack([odds[i, c] / odds[i].sum() for i, c in enumerate(CLASSES)])
    torch.testing.assert_close(LOSSES["probability"](LOGITS, CLASSES), expected)
    points = LOGITS[:, None].expand(-1, 4, -1)
    torch.testing.assert_close(LOSSES["probability"](points, CLASSES), expected[:, None].expand(-1, 4))


def test_logit_margin_divides_by_the_lead_which_has_no_gradient() -> None:
    logits = LOGITS[:1].clone().requires_grad_(True)
    loss = LOSSES["logit_margin"](logits, CLASSES[:1])
    scaled = [2 / 1.5, -1 / 1.5, 0.5 / 1.5]
    total = sum(torch.tensor(value).exp().item() for value in scaled)
    assert loss.item() == pytest.approx(-scaled[0] + torch.tensor(total).log().item())
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    expected = [torch.tensor(value).exp().item() / total / 1.5 for value in scaled]
    expected[0] -= 1 / 1.5
    assert gradient[0].tolist() == pytest.approx(expected)


def test_no_lead_gives_no_nan_and_large_logits_do_not_saturate() -> None:
    logits = torch.tensor([[5.0, 5.0, 1.0], [300.0, 0.0, -5.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSSES["logit_margin"](logits, torch.tensor([0, 0])).sum(), logits)
    assert gradient.isfinite().all()
    assert gradient[1].abs().max() > 1e-4
    (saturated,) = torch.autograd.grad(LOSSES["cross_entropy"](logits, torch.tensor([0, 0])).sum(), logits)
    assert saturated[1].abs().max() == 0
