"""Run an estimator or a preparation: it yields queries about points, and the evaluation answers them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .messages import Answer, Passes, Query

if TYPE_CHECKING:
    from torch import Tensor

    from .run_state import RunState

Result = TypeVar("Result")


@dataclass(frozen=True)
class AtImage:
    """The gradient at the current image: the estimator of an attack that sets no other."""

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(1)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, _run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        answer = yield Query(images[:, None])
        return answer.gradients[:, 0], None


AT_IMAGE = AtImage()


def run_queries(
    queries: Generator[Query, Answer, Result], answer: Callable[[Query, int], Answer], declared: Passes, members: int,
    name: str,
) -> tuple[Result, Answer]:  # fmt: skip
    """Answer all queries of a generator.

    Args:
        queries: What an estimator's `estimate` or a preparation's `prepare` returned.
        answer: Answers a query, given the query and its number within the step, from 0.
        declared: The passes that the queries should have.
        members: The number of networks of the source.
        name: What yields the queries, for the error.

    Returns:
        What the generator returned, and the answer to the first query.

    Raises:
        ValueError: The queries have other passes than are declared, so the cost would be wrong.
    """
    query = next(queries)
    first, number, found = answer(query, 0), 0, query.passes(members)
    given = first
    while True:
        try:
            query = queries.send(given)
        except StopIteration as end:
            result: Result = end.value
            break
        number += 1
        found = found.plus(query.passes(members))
        given = answer(query, number)
    if not all(map(math.isclose, found, declared)):
        both = [{kind: count for kind, count in passes._asdict().items() if count} for passes in (found, declared)]
        words = [" and ".join(f"{count:g} {kind}" for kind, count in counts.items()) or "0" for counts in both]
        raise ValueError(f"{name} queried {words[0]} points of each image, but declares {words[1]}")
    return result, first
