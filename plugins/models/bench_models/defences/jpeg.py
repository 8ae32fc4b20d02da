"""JPEG compression (Guo et al., 2018; arXiv:1711.00117, sec. 4; Das et al., 2018; arXiv:1802.06816)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError
from bench_core.types import Json

from ..defence_recipe import defence

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from ..defended import Draws, Gradient
else:
    from bench_core.lazy import torch

MODES = {1: "L", 3: "RGB"}  # Pillow's, by the number of channels


@dataclass(frozen=True)
class Jpeg:
    """Round images to 8 bits, compress them as JPEG, and read them again; Pillow does both.

    Colour is subsampled as Pillow does by default (4:2:0). The derivative is zero almost everywhere.
    """

    quality: int
    gradient: ClassVar[Gradient] = "identity"
    random: ClassVar[bool] = False

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """Return the compressed images. Raises UsageError unless images have one or three channels."""
        if images.shape[1] not in MODES:
            message = f"found images of {images.shape[1]} channels (JPEG has 1 or 3)"
            raise UsageError(Fault("", "defended:jpeg", message))
        levels = (images.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        read = np.stack([compressed(pixels, self.quality) for pixels in levels])
        return (torch.from_numpy(read).permute(0, 3, 1, 2).float() / 255).contiguous().to(images)


def compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress one image [h, w, c] as JPEG, and return what is read from the file, [h, w, c]."""
    from PIL import Image

    shaped = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(shaped, MODES[pixels.shape[-1]]).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(pixels.shape)


def known(**_options: Any) -> Json:
    """Return the version of Pillow. Raises UsageError if it is missing."""
    if importlib.util.find_spec("PIL") is None:
        raise UsageError(
            Fault("", "recipe", "JPEG is computed by Pillow, which is not installed (try pip install pillow)")
        )
    return {"pillow": importlib.metadata.version("pillow")}


def build(base: Any, quality: Annotated[int, Ge(1), Le(95)] = 75, adaptive: bool = False) -> Model:
    """Compress images as JPEG before a network (Guo et al., 2018; Das et al., 2018).

    Args:
        base: The network to defend.
        quality: Pillow's quality, from 1 to 95.
        adaptive: Whether an attacker takes the gradient of the network at the compressed images (BPDA).
    """
    from ..defended import Defended

    known()
    return Defended(base, Jpeg(quality), adaptive)


RECIPE = defence(
    build,
    "A network on images compressed as JPEG.",
    [{"adaptive": True}, {"quality": 30, "adaptive": True}],
    known=known,
)
