"""Random numbers keyed by seed, image, purpose and step, so that no draw depends on the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class ImageStreams:
    """Implements `types.Streams` for a batch of images with the digests `ids`."""

    def __init__(self, seed: int, ids: Sequence[str]) -> None:
        self.seed, self.ids = seed, tuple(ids)

    def take(self, rows: slice) -> ImageStreams:
        return ImageStreams(self.seed, self.ids[rows])

    def _draw(self, purpose: str, step: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        generator, drawn = torch.Generator(), []
        for image in self.ids:
            key = hashlib.blake2b(f"{self.seed}/{image}/{purpose}/{step}".encode(), digest_size=7).digest()
            drawn.append(draw(generator.manual_seed(int.from_bytes(key, "big"))))
        return torch.stack(drawn)

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return self._draw(purpose, step, lambda generator: torch.randn(tuple(shape), generator=generator))

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return self._draw(purpose, step, lambda generator: torch.rand(tuple(shape), generator=generator))

    def subsets(self, purpose: str, step: int, count: int, players: int, size: int) -> Tensor:
        ranks = self.uniform(purpose, step, (count, players)).argsort(-1)
        return torch.zeros(ranks.shape, dtype=torch.bool).scatter_(-1, ranks[..., :size], True)
