"""What an image is to reach at the network: a wrong class, or a stated attacking utility. There it stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.logits import pick

from .balls import per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Fooled:
    """Another class than the true one, or the class aimed at."""

    sees_clean: bool = False

    def past(self, logits: Tensor, _clean: Tensor | None, examples: Examples) -> Tensor:
        guesses = logits.argmax(1)
        there = guesses != examples.labels if examples.targets is None else guesses == examples.targets
        return there.float() - 1

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        return {"reached": self.past(logits, clean, examples) == 0}


@dataclass(frozen=True)
class Utility:
    """An attacking utility within `tolerance` of `utility`, in logits (arXiv:2103.07364, sec. 4.1):

    `h_y(x) - h_y(x_adv)`, or for an attack that aims at the class t `(h_t - h_y)(x_adv) - (h_t - h_y)(x)`.
    """

    utility: float
    tolerance: float
    sees_clean: bool = True

    def of(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        """Give the utility [n] of images with `logits` [n, classes], `clean` being those of the clean ones."""
        assert clean is not None
        gained = logits - clean
        own = pick(gained, examples.labels)
        return -own if examples.targets is None else pick(gained, examples.targets) - own

    def past(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        missing = self.of(logits, clean, examples) - self.utility
        return missing.sign().where(missing.abs() > self.tolerance, 0.0)

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        return {
            "reached": self.past(logits, clean, examples) == 0,
            "utility": self.of(logits, clean, examples),
        }


def pacing(length: float) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Begin a run in which each image steps `length` until it reaches its goal.

    The function takes the images [n, c, h, w], their gradient and on which side of the goal they are [n], and says from
    where each steps on, along which gradient, and how far [n]: one that went past the goal tries half the step again,
    from where it was; one that is there stays. The first images have nowhere to go back to.
    """
    kept: tuple[Tensor, Tensor, Tensor] | None = None

    def pace(images: Tensor, gradient: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal kept
        if kept is None:
            kept = images, gradient, torch.full_like(past, length)
        else:
            back = past > 0
            base, slope, reach = kept
            whole = per_image(back, images)
            kept = base.where(whole, images), slope.where(whole, gradient), (reach / 2).where(back, reach)
        return kept[0], kept[1], kept[2] * (past != 0)

    return pace
