"""What a network is asked under a limit of queries (`Budget.access`): how attacks ask, and what the host counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .types import Model
else:
    from .lazy import torch


class QueriesSpent(BaseException):
    """An attack asked about an image after its last query, or after the answer that the network is fooled.

    It ends the attack. It is no Exception, so that no `except Exception` of a library swallows it.
    """


@dataclass(frozen=True)
class Queries:
    """What the host counted of each image. A metric gets it as the parameter `queries` of its `observe`.

    Attributes:
        fooled_at: The number of the first query, from 1, whose image was inside the ball and fooled the network, int64
            [n]; 0 for none.
        spent: The number of queries, int64 [n].
        limit: The most queries for one image.
    """

    fooled_at: Tensor
    spent: Tensor
    limit: int


def ask(model: Model, images: Tensor, rows: Tensor) -> Tensor:
    """Return a network's answers, without a gradient. Each image is one query, where the budget limits them.

    An attack that asks only through this function declares `names_rows = True` and gets whole batches. Another one is
    given one image at a time, so that the host knows which image each query is about.

    Args:
        model: The network that the attack was given.
        images: Images [k, c, h, w] to ask about.
        rows: The images of the batch that these are perturbations of, int64 [k]. None may have spent its queries.

    Returns:
        Logits [k, classes]; where the budget gives only labels, 1 for the predicted class and 0 for the others.
    """
    with torch.no_grad():
        named = getattr(model, "takes_rows", False)
        logits: Tensor = model(images, rows=rows) if named else model(images)
    return logits
