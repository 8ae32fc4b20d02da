"""Bit-depth reduction, one of the feature squeezers of Xu et al. (2018; arXiv:1704.01155, sec. IV.A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Le

from ..defence_recipe import defence

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model

    from ..defended import Draws, Gradient


@dataclass(frozen=True)
class BitDepth:
    """Round every pixel to the nearest of 2^bits levels from 0 to 1. The derivative is zero almost everywhere."""

    bits: int
    gradient: ClassVar[Gradient] = "identity"
    random: ClassVar[bool] = False

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        steps = 2**self.bits - 1
        rounded: Tensor = (images * steps).round() / steps
        return rounded


def build(base: Any, bits: Annotated[int, Ge(1), Le(8)] = 5, adaptive: bool = False) -> Model:
    """Round images to fewer grey levels before a network (Xu et al., 2018; arXiv:1704.01155).

    Args:
        base: The network to defend.
        bits: Bits of a pixel. The authors use 5 for ImageNet and CIFAR-10, and 1 for MNIST.
        adaptive: Whether an attacker takes the gradient of the network at the rounded images (BPDA).
    """
    from ..defended import Defended

    return Defended(base, BitDepth(bits), adaptive)


RECIPE = defence(
    build, "A network on images of fewer grey levels.", [{"adaptive": True}, {"bits": 1, "adaptive": True}]
)
