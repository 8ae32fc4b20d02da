"""Block shuffle and rotation (Wang et al., CVPR 2024; arXiv:2308.10299)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Le

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..sampling import Bounds, sampled

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


class Axis(NamedTuple):
    """Along one axis, where each pixel [n, side] of a copy comes from."""

    block: Tensor  # the number of the block
    first: Tensor  # the block's first pixel
    length: Tensor  # the block's number of pixels
    offset: Tensor  # the pixel's place inside the block


def shuffled(weights: Tensor, order: Tensor, side: int) -> Axis:
    """Cut an axis into blocks, with lengths in proportion to `weights` [n, blocks], and shuffle them.

    The numbers `order` [n, blocks] put the blocks in order. What rounding leaves over goes to the longest block.
    """
    lengths = (weights / weights.sum(1, keepdim=True) * side).round().long()
    longest = lengths.argmax(1, keepdim=True)
    lengths.scatter_add_(1, longest, side - lengths.sum(1, keepdim=True))
    sequence = order.argsort(1)
    shuffled_lengths = lengths.gather(1, sequence)
    ends = shuffled_lengths.cumsum(1)
    pixels = torch.arange(side, device=weights.device).expand(len(weights), -1).contiguous()
    place = torch.searchsorted(ends, pixels, right=True)
    block = sequence.gather(1, place)
    offset = pixels - (ends - shuffled_lengths).gather(1, place)
    return Axis(block, (lengths.cumsum(1) - lengths).gather(1, block), lengths.gather(1, block), offset)


@dataclass(frozen=True)
class ShuffledCopies:
    """Copies cut into `blocks` x `blocks` blocks of random sizes, whose rows and columns are shuffled.

    Each block is rotated about its centre by an angle uniform in [-angle, angle] degrees: bilinear, with zeros from
    outside the block. The lengths of the blocks along a side are in proportion to uniform numbers, so a block may be
    empty.

    Cuts and shuffles are those of the authors' code, which draws the angles from a normal distribution of standard
    deviation 0.2, in radians, cut at two deviations; the uniform angles are the paper's. TransferAttack has 3 x 3
    blocks, rotates strips along a random side, cuts each strip at other places, and draws almost equal lengths (from
    numbers in (1, 2]). Both draw cuts and shuffles once for a batch; here each image and copy has its own.
    """

    count: int
    blocks: int
    angle: float
    through: bool = True

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        height, width = images.shape[-2:]
        numbers = run.rng.uniform("block shuffle", (self.count, 4, self.blocks)).double().flatten(0, 1)
        down, right = shuffled(numbers[:, 0], numbers[:, 1], height), shuffled(numbers[:, 2], numbers[:, 3], width)
        turns = 2 * run.rng.uniform("block rotation", (self.count, self.blocks**2)).double().flatten(0, 1) - 1
        place = (down.block[:, :, None] * self.blocks + right.block[:, None, :]).flatten(1)
        angles = math.radians(self.angle) * turns
        waves = (angles.cos().to(images), angles.sin().to(images))
        cos, sin = (values.gather(1, place).view(-1, height, width) for values in waves)
        middle_row, middle_column = (down.length[:, :, None] - 1) / 2, (right.length[:, None, :] - 1) / 2
        y, x = down.offset[:, :, None] - middle_row, right.offset[:, None, :] - middle_column
        rows = cos * y - sin * x + middle_row + down.first[:, :, None]
        columns = sin * y + cos * x + middle_column + right.first[:, None, :]
        seen_rows = Bounds(down.first[:, :, None], (down.first + down.length)[:, :, None])
        seen_columns = Bounds(right.first[:, None, :], (right.first + right.length)[:, None, :])
        copied = images[:, None].expand(-1, self.count, -1, -1, -1)
        copies = sampled(copied.flatten(0, 1), rows, columns, seen_rows, seen_columns)
        return copies.view_as(copied)


def bsr(
    attack: GradientAttack, *, bsr_copies: Count = 20, bsr_blocks: Count = 2,
    block_angle: Annotated[float, Ge(0), Le(180)] = 24.0,
) -> GradientAttack:  # fmt: skip
    """Average the loss over copies whose blocks are shuffled and rotated at random (Wang et al., 2024).

    The published attack has a momentum (`mi`).

    Args:
        attack: The attack.
        bsr_copies: The number of copies.
        bsr_blocks: The number of blocks along each side.
        block_angle: The largest angle of a rotation, in degrees.
    """
    return attack.add_views(ShuffledCopies(bsr_copies, bsr_blocks, block_angle))


RECIPE = recipe(bsr, small={"bsr_copies": 3})
