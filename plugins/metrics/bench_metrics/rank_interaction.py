"""Which interactions remain in images of a lower rank (arXiv:2103.07364, sec. 4.3 and figure 6, right)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from bench_core.grid import grid_fault
from bench_core.statistics import mean

from .coalitions.image_games import BaselineName, baseline, image_game
from .coalitions.mean_interaction import Effort, mean_interaction
from .coalitions.orders import Rounding, context_sizes, orders_fault
from .coalitions.pairs import Among, pairs_among

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


def kept_rank(share: float, side: int) -> int:
    """Return a share of the full rank, rounded to the nearest integer, at least 1."""
    return max(1, round(share * side))


def cut_to_rank(images: Tensor, share: float) -> Tensor:
    """Compute the nearest images whose channels have a share of the full rank, by truncated SVD; not clipped.

    Args:
        images: Images [n, c, h, w].
        share: Share of the full rank min(h, w).

    Returns:
        Images [n, c, h, w].
    """
    left, strengths, right = torch.linalg.svd(images.double(), full_matrices=False)
    rank = kept_rank(share, strengths.shape[-1])
    cut: Tensor = (left[..., :rank] * strengths[..., None, :rank] @ right[..., :rank, :]).to(images)
    return cut


@dataclass(frozen=True)
class RankInteraction:
    """Interactions of each order in clean and adversarial images that are cut to a share of their rank.

    The games are those of `order_interaction`, of the true class. All ranks of an image, clean and adversarial, share
    their pairs and contexts. Scores, labelled by `rank`, a share of the full rank, and `order`: `interaction`, `I^(m)`,
    labelled by `images` as well; `change`, that of the clean less that of the adversarial images; `effect`, labelled by
    `images` as well, what the cut itself changes: `I^(m)` of the cut less that of the full images (0 for rank 1).

    Attributes:
        ranks: Shares of the full rank; the first must be 1.0.
        grid: Cells per side.
        orders: Cells in a context (int), or shares of grid^2 - 2 (float).
        pairs: Random pairs of cells per image and order, with one context each.
        among: Draw from `all` pairs of cells or only from `neighbours`.
        baseline: What absent cells show; see `image_games.baseline`.
        rounding: How a share of the cells becomes a number: to the `nearest`, or `down` as in the authors' code.
    """

    ranks: tuple[Annotated[float, Gt(0), Le(1)], ...] = (1.0, 0.25, 0.0625)
    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    pairs: Annotated[int, Ge(2)] = 100
    among: Among = "all"
    baseline: BaselineName = "channel_mean"
    rounding: Rounding = "nearest"
    scores: ClassVar = ("interaction", "change", "effect")
    labels: ClassVar = ("rank", "order", "images")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if not self.ranks or self.ranks[0] != 1:
            return f"ranks: found {list(self.ranks)} (try 1.0 first, the full images that the others are compared with)"
        kept = [kept_rank(share, min(shape[1:])) for share in self.ranks]
        if len(set(kept)) < len(kept):
            size = f"{shape[1]} x {shape[2]} pixels"
            return f"ranks: found {list(self.ranks)}, which are the ranks {kept} of {size} (try different ranks)"
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2, self.rounding)

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 2 * len(self.ranks) * 4 * Effort(self.pairs).draws * len(self.orders)

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        games = [
            image_game(source, cut, baseline(self.baseline, cut, data_mean), self.grid, "log_prob", clean.labels)
            for images in (clean.images, adversarial)
            for cut in (images if share == 1 else cut_to_rank(images, share) for share in self.ranks)
        ]
        sizes, pairs = context_sizes(self.orders, self.grid**2 - 2, self.rounding), pairs_among(self.among, self.grid)
        estimate = mean_interaction(games, sizes, Effort(self.pairs), rng, pairs)
        return {"interaction": estimate.mean.unflatten(-1, (2, len(self.ranks)))}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        interaction = np.asarray(rows["interaction"], np.float64)
        for index, order in enumerate(self.orders):
            for rank, share in enumerate(self.ranks):
                labels = {"rank": f"{share:g}", "order": f"{order}"}
                cut, full = interaction[:, index, :, rank], interaction[:, index, :, 0]
                for column, images in enumerate(("clean", "adversarial")):
                    yield mean("interaction", cut[:, column], labels | {"images": images})
                    yield mean("effect", (cut - full)[:, column], labels | {"images": images})
                yield mean("change", cut[:, 0] - cut[:, 1], labels)


METRIC = RankInteraction
EXAMPLES = [{"grid": 4, "ranks": [1.0, 0.25], "orders": [0.1, 0.5, 0.9], "pairs": 3}]
