"""A network from images to images, as a transformation before a classifier."""

from __future__ import annotations

from torch import Tensor, nn

from bench_core.errors import Fault, UsageError

from .defended import Draws, Gradient


class Purifier(nn.Module):
    """A network that maps images [n, c, h, w] to images of the same shape.

    Args:
        network: The purifier.
        gradient: What an adaptive attacker differentiates.
    """

    random = False

    def __init__(self, network: nn.Module, gradient: Gradient) -> None:
        super().__init__()
        self.network, self.gradient = network, gradient

    def forward(self, images: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """Return the purified images. Raises UsageError if the purifier returns something else."""
        purified = self.network(images)
        if not isinstance(purified, Tensor) or purified.shape != images.shape:
            found = tuple(purified.shape) if isinstance(purified, Tensor) else type(purified).__name__
            message = f"the purifier returned {found} for images {tuple(images.shape)} (try images of the same shape)"
            raise UsageError(Fault("", "defended:purifier", message))
        return purified
