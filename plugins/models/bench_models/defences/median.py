"""Median blur, one of the feature squeezers of Xu et al. (2018; arXiv:1704.01155, sec. IV.B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Le

from ..defence_recipe import defence

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from ..defended import Draws, Gradient
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Median:
    """Replace every pixel by the median of a square around it, channel by channel.

    As in SciPy's `median_filter`, which the authors use: images continue as their mirror image, a square of even side
    reaches farther to the upper left, and the median of an even number of pixels is the upper one.
    """

    side: int
    gradient: ClassVar[Gradient] = "exact"
    random: ClassVar[bool] = False

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        rows, columns = (mirrored(length, self.side, images.device) for length in images.shape[-2:])
        continued = images.index_select(-2, rows).index_select(-1, columns)
        squares = continued.unfold(-2, self.side, 1).unfold(-2, self.side, 1).flatten(-2)
        return squares.sort(-1).values[..., self.side**2 // 2]


def mirrored(length: int, side: int, device: torch.device) -> Tensor:
    """Return the positions of a line that continues as its mirror image, for windows of `side`: 1 0 | 0 1 2 | 2 1."""
    position = torch.arange(-(side // 2), length + (side - 1) // 2, device=device) % (2 * length)
    return torch.minimum(position, 2 * length - 1 - position)


def build(base: Any, side: Annotated[int, Ge(2), Le(15)] = 3, adaptive: bool = False) -> Model:
    """Blur images by a median filter before a network (Xu et al., 2018; arXiv:1704.01155).

    Args:
        base: The network to defend.
        side: Side of the filter's square in pixels. The authors use 2 for ImageNet and CIFAR-10, and 3 for MNIST.
        adaptive: Whether an attacker differentiates the median, too.
    """
    from ..defended import Defended

    return Defended(base, Median(side), adaptive)


RECIPE = defence(
    build, "A network on images under a median filter.", [{"adaptive": True}, {"side": 2, "adaptive": True}]
)
