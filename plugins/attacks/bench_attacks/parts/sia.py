"""Structure invariance (Wang et al., ICCV 2023; arXiv:2309.14700)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from annotated_types import Ge

from bench_core.types import Rejection

from ..compose import Count, recipe
from ..cosines import from_frequencies, to_frequencies
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

RESIZE, LOW_PASS, DROPOUT = 0.8, 0.4, 0.1  # the authors' constants


class Draws(NamedTuple):
    """The random numbers of one block [c, h, w]."""

    strength: float  # in [0, 1)
    noise: Tensor  # [c, h, w]
    kept: Tensor  # [c, 1, 1], 1 with probability 0.9, else 0


def resized(block: Tensor) -> Tensor:
    """Resize a block to 0.8 of its side and back."""
    sides = block.shape[1:]
    smaller = [int(side * RESIZE) + 1 for side in sides]
    small = torch.nn.functional.interpolate(block[None].contiguous(), smaller, mode="bilinear")
    return torch.nn.functional.interpolate(small, sides, mode="bilinear")[0].clamp(0, 1)


def low_pass(block: Tensor) -> Tensor:
    """Remove the highest 0.4 of the frequencies along each side."""
    rows, columns = (torch.arange(side, device=block.device) < side - int(side * LOW_PASS) for side in block.shape[1:])
    return from_frequencies(to_frequencies(block) * (rows[:, None] & columns))


OPERATIONS = (
    lambda block, drawn: block.roll(int(drawn.strength * block.shape[1]), 1),
    lambda block, drawn: block.roll(int(drawn.strength * block.shape[2]), 2),
    lambda block, _drawn: block.flip(1),
    lambda block, _drawn: block.flip(2),
    lambda block, _drawn: block.flip(1, 2),
    lambda block, drawn: drawn.strength * block,
    lambda block, drawn: (block + drawn.noise).clamp(0, 1),
    lambda block, _drawn: resized(block),
    lambda block, _drawn: low_pass(block),
    lambda block, drawn: block * drawn.kept / (1 - DROPOUT),
)


class Plan(NamedTuple):
    """The random numbers of one copy."""

    rows: list[int]  # the borders of the blocks, with 0 and the side itself
    columns: list[int]
    operations: list[int]  # of each block, row by row
    strengths: list[float]
    noise: Tensor  # [c, h, w]
    kept: Tensor  # [blocks, c, 1, 1]


def structured(image: Tensor, plan: Plan) -> Tensor:
    """Return the copy of an image [c, h, w]. Blocks have different sizes, so each is transformed by itself."""
    numbers = iter(zip(plan.operations, plan.strengths, plan.kept, strict=True))
    bands = []
    for top, bottom in pairwise(plan.rows):
        band = []
        for left, right in pairwise(plan.columns):
            operation, strength, kept = next(numbers)
            area = (slice(None), slice(top, bottom), slice(left, right))
            band.append(OPERATIONS[operation](image[area], Draws(strength, plan.noise[area], kept)))
        bands.append(torch.cat(band, 2))
    return torch.cat(bands, 1)


@dataclass(frozen=True)
class StructuredCopies:
    """Copies cut at random rows and columns into `blocks` x `blocks` blocks, each with one random operation.

    The operations: roll down or right by a random number of pixels, flip along either side, rotate by 180 degrees,
    multiply by a number in [0, 1), add uniform noise in [-noise, noise] and clip, resize to 0.8 of the side and back,
    remove the highest 0.4 of the cosine frequencies along each side, and drop each channel with probability 0.1. The
    first `operations` of them are used, each equally likely.

    Each image and copy has its own cuts, operations and numbers; the authors' code and TransferAttack draw them once
    for all images of a batch. A block of one or two rows or columns has no frequency to remove and stays as it is,
    where the authors' code removes all. That code also exchanges the sides of a block that it resizes.
    """

    count: int
    blocks: int
    noise: float
    operations: int
    through: bool = True

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        most = min(shape[1:])
        if self.blocks > most:
            return Rejection("sia_blocks", f"found {self.blocks} blocks along {most} pixels (try {most})")
        return None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        (channels, height, width), rng, per_copy = images.shape[1:], run.rng, (self.count, self.blocks**2)
        noise = self.noise * (2 * rng.uniform("structure noise", (self.count, *images.shape[1:])) - 1)
        kept = rng.uniform("structure dropout", (*per_copy, channels, 1, 1)) >= DROPOUT
        plans = zip(
            self.cuts(rng.uniform("structure y", (self.count, height - 1))),
            self.cuts(rng.uniform("structure x", (self.count, width - 1))),
            rng.integers("structure operations", per_copy, self.operations).flatten(0, 1).tolist(),
            rng.uniform("structure strengths", per_copy).double().flatten(0, 1).tolist(),
            noise.flatten(0, 1),
            kept.to(images).flatten(0, 1),
            strict=True,
        )
        copied = [image for image in images for _ in range(self.count)]
        copies = [structured(image, Plan(*plan)) for image, plan in zip(copied, plans, strict=True)]
        return torch.stack(copies).view_as(noise)

    def cuts(self, numbers: Tensor) -> list[list[int]]:
        """Return the borders of the blocks along one side for each copy: after the pixels of the smallest numbers."""
        chosen = numbers.flatten(0, 1).argsort(-1)[:, : self.blocks - 1].sort(-1)[0] + 1
        return [[0, *cuts, numbers.shape[-1] + 1] for cuts in chosen.tolist()]


def sia(
    attack: GradientAttack, *, sia_copies: Count = 20, sia_blocks: Count = 3,
    sia_noise: Annotated[float, Ge(0)] = 16 / 255, operations: Literal["all", "seven"] = "all",
) -> GradientAttack:  # fmt: skip
    """Average the loss over copies whose blocks are transformed at random, each by itself (Wang et al., 2023).

    The published attack has a momentum (`mi`).

    Args:
        attack: The attack.
        sia_copies: The number of copies.
        sia_blocks: The number of blocks along each side.
        sia_noise: The largest noise that is added to a block, in units of the image range.
        operations: "all" ten of the authors' code, or the "seven" of TransferAttack: no resizing, filter and dropout.
    """
    number = len(OPERATIONS) if operations == "all" else 7
    return attack.add_views(StructuredCopies(sia_copies, sia_blocks, sia_noise, number))


RECIPE = recipe(sia, small={"sia_copies": 3})
