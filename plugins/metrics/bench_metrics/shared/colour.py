"""Images as pictures: which shapes are, and their colours in CIELAB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_core.clouds import is_cloud

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch

# sRGB to XYZ (ITU-R BT.709 primaries), and the white of illuminant D65 for the observer of 2 degrees
TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)


def picture_fault(shape: tuple[int, int, int], smallest: int = 1) -> str | None:
    """Return why images of shape (c, h, w) are not pictures of at least `smallest` pixels a side, or None."""
    channels, height, width = shape
    if is_cloud(shape):
        return "found point clouds, which are not seen"
    if channels not in (1, 3):
        return f"found images of {channels} channels, expected 1 or 3"
    if min(height, width) < smallest:
        return f"found images of {height} x {width} pixels, expected at least {smallest} a side"
    return None


def as_rgb(images: Tensor) -> Tensor:
    """Return images [n, 1 or 3, h, w] with three channels; grey has three equal ones."""
    return images.expand(-1, 3, -1, -1)


def lab(images: Tensor) -> Tensor:
    """Convert sRGB images in [0, 1] to CIELAB (CIE 15, D65).

    Args:
        images: Images [n, 3, h, w].

    Returns:
        L*, a* and b* as channels, float64 [n, 3, h, w].
    """
    coded = images.double()
    linear = torch.where(coded > 0.04045, ((coded.clamp(min=0) + 0.055) / 1.055) ** 2.4, coded / 12.92)
    to_xyz = torch.tensor(TO_XYZ, dtype=torch.float64, device=images.device)
    white = torch.tensor(WHITE, dtype=torch.float64, device=images.device)
    # a sum of products rather than a matrix product, whose rounding can depend on the batch
    xyz = (to_xyz[None, :, :, None, None] * linear[:, None]).sum(2) / white[:, None, None]
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=0) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
