"""Pay no attention (Wei et al., AAAI 2022; arXiv:2109.04176)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..attention import changed, check
from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from bench_core.types import Model, Rejection

    from ..run_state import RunState


@dataclass(frozen=True)
class PayNoAttention:
    """A vision transformer whose attention maps are constants: the gradient goes only through the values.

    For `A V` with `A = softmax(Q K' / sqrt(d))`, the gradient in A is 0, so that none reaches the queries and keys.
    The logits do not change.
    """

    forwards: ClassVar[int] = 0

    def check(self, model: Model) -> Rejection | None:
        return check(model)

    @contextmanager
    def apply(self, model: Model, _run: RunState) -> Iterator[Model]:
        with changed(model, maps=lambda weights: weights.detach()):
            yield model


def pna(attack: GradientAttack) -> GradientAttack:
    """Stop the gradient through the attention maps of a vision transformer (Wei et al., 2022).

    The authors' code and TransferAttack find the attention by the name of the network, here it is found by structure.
    Their hooks are never called in timm's fused attention, which has no maps and is the default of recent versions;
    here it is switched off during the attack. The gradient is the same otherwise. The paper adds `patchout` and `mi`;
    the attack `pna_patchout` has all three.
    """
    # first, because it finds attention only in the network itself, not in what another surrogate yields
    return attack.with_surrogates(PayNoAttention(), *attack.surrogates)


RECIPE = recipe(pna)
