"""Random resize and padding (Xie et al., 2018; arXiv:1711.01991, sec. 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from ..defence_recipe import attacker_samples, defence

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from ..defended import Draws, Gradient
else:
    from bench_core.lazy import torch

ENLARGE = 331 / 299  # the authors' sides: 299 pixels are resized to 299 to 330, and padded to 331


@dataclass(frozen=True)
class ResizePad:
    """Resize an image to a random height, keeping its proportions, and pad it with zeros to a fixed larger size.

    From height h to H = ceil(h `enlarge`), all heights from h to H - 1 and all positions have the same probability.
    Pixels are repeated (nearest neighbour), as in the authors' code. With `back`, the result is resized bilinearly to
    the size of the image, for networks that take no other size.
    """

    enlarge: float
    back: bool
    gradient: ClassVar[Gradient] = "layer"
    random: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        chances = draws.uniform((3,)).tolist()
        padded = torch.stack([self.padded(image, *row) for image, row in zip(images, chances, strict=True)])
        if not self.back:
            return padded
        return torch.nn.functional.interpolate(padded, images.shape[-2:], mode="bilinear", align_corners=False)

    def padded(self, image: Tensor, for_height: float, for_top: float, for_left: float) -> Tensor:
        """Resize and pad one image [c, h, w]. The numbers in [0, 1) choose the height and the position."""
        height, width = image.shape[-2:]
        # rounded, because the factor times a side may be a whole number and a rounding
        full_height, full_width = (math.ceil(round(side * self.enlarge, 6)) for side in (height, width))
        new_height = height + int(for_height * (full_height - height))
        new_width = min(full_width, round(width * new_height / height))
        rows, columns = (
            torch.arange(new, device=image.device) * old // new
            for new, old in ((new_height, height), (new_width, width))
        )
        top = int(for_top * (full_height - new_height + 1))
        left = int(for_left * (full_width - new_width + 1))
        around = (left, full_width - new_width - left, top, full_height - new_height - top)
        resized = image.index_select(-2, rows).index_select(-1, columns)
        return torch.nn.functional.pad(resized, around)


def build(
    base: Any,
    enlarge: Annotated[float, Gt(1), Le(2)] = ENLARGE,
    back: bool = False,
    adaptive: bool = False,
    samples: Annotated[int, Gt(0)] | None = None,
    seed: Annotated[int, Ge(0)] = 0,
) -> Model:
    """Resize images randomly and pad them at a random position before a network (Xie et al., 2018; arXiv:1711.01991).

    Args:
        base: The network to defend.
        enlarge: Side of the padded image, as a factor of the image's; by default 331/299, as the authors'.
        back: Whether the padded image is resized to the image's size, for a network that takes no other.
        adaptive: Whether an attacker averages over draws of the size and the position (EoT).
        samples: Number of draws of an adaptive attacker, by default 10.
        seed: Seed of the draws.
    """
    from ..defended import Defended

    return Defended(base, ResizePad(enlarge, back), adaptive, attacker_samples(adaptive, samples), seed)


RECIPE = defence(
    build,
    "A network on images that are randomly resized and padded.",
    [{}, {"back": True}, {"adaptive": True, "samples": 3}],
)
