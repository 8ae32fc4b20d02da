"""Token gradient regularization (Zhang et al., CVPR 2023; arXiv:2303.15754)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..attention import changed, check, with_earlier_gradient, with_gradient
from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model, Rejection

    from ..run_state import RunState

Gain = Annotated[float, Ge(0)]


@dataclass(frozen=True)
class TokenRegularised:
    """A vision transformer in whose blocks the extreme entries of gradients are set to 0.

    The gradient in the attention maps is multiplied by `maps`; in each head, the row and the column of its largest and
    of its smallest entry become 0. That in the queries, keys and values is multiplied by `qkv` and that in the output
    of the perceptron by `mlp`; in each channel, the tokens of the largest and of the smallest entry become 0. The
    logits do not change. Extremes are those of each input of the network.
    """

    maps: float
    qkv: float
    mlp: float
    scores: bool = False
    forwards: ClassVar[int] = 0

    def check(self, model: Model) -> Rejection | None:
        return check(model)

    @contextmanager
    def apply(self, model: Model, _run: RunState) -> Iterator[Model]:
        at = with_earlier_gradient if self.scores else with_gradient
        maps = at(partial(without_rows_and_columns, gain=self.maps))
        qkv, mlp = (with_gradient(partial(without_tokens, gain=gain)) for gain in (self.qkv, self.mlp))
        with changed(model, maps, qkv, mlp):
            yield model


def without_tokens(gradient: Tensor, gain: float) -> Tensor:
    """Scale a gradient [n, tokens, channels]; in each channel, the tokens of both extremes become 0."""
    extremes = (gradient.argmax(1, keepdim=True), gradient.argmin(1, keepdim=True))
    scaled = gain * gradient
    for token in extremes:
        scaled = scaled.scatter(1, token, 0)
    return scaled


def without_rows_and_columns(gradient: Tensor, gain: float) -> Tensor:
    """Scale a gradient [n, heads, rows, columns]; in each head, row and column of both extremes become 0."""
    rows, columns = gradient.shape[2:]
    flat = gradient.flatten(2)
    scaled = gain * gradient
    for place in (flat.argmax(2), flat.argmin(2)):
        row, column = (place // columns)[..., None, None], (place % columns)[..., None, None]
        scaled = scaled.scatter(2, row.expand(-1, -1, 1, columns), 0).scatter(3, column.expand(-1, -1, rows, 1), 0)
    return scaled


def tgr(
    attack: GradientAttack,
    *,
    maps_gain: Gain = 0.25,
    qkv_gain: Gain = 0.75,
    mlp_gain: Gain = 0.5,
    scores: bool = False,
) -> GradientAttack:
    """Set the extreme gradients of tokens in a vision transformer to zero (Zhang et al., 2023).

    The paper adds momentum (`parts = ["tgr", "mi"]`). Its text has 0.25 for the perceptron, its code 0.5. The authors'
    code and TransferAttack take the extremes of the first image of the batch for all, and find the blocks by the name
    of the network; here they are those of each image, and blocks are found by structure. Their hook on the dropout
    after the softmax gets the gradient in what the last operation was given; as dropout does nothing in evaluation,
    these are the scores before the softmax, not the maps of the paper (`scores = true`).

    Args:
        attack: The attack.
        maps_gain: The factor of the gradient in the attention maps.
        qkv_gain: The factor of the gradient in the queries, keys and values.
        mlp_gain: The factor of the gradient in the output of the perceptron.
        scores: Change the gradient in the scores before the softmax, as the authors' code does, not in the maps.
    """
    # first, because it finds attention only in the network itself, not in what another surrogate yields
    return attack.with_surrogates(TokenRegularised(maps_gain, qkv_gain, mlp_gain, scores), *attack.surrogates)


RECIPE = recipe(tgr)
