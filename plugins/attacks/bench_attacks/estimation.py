"""Run an estimator: it yields queries about points, and the evaluation answers them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .kinds import Answer, Estimator, Query

if TYPE_CHECKING:
    from torch import Tensor

    from .run_state import RunState


@dataclass(frozen=True)
class AtImage:
    """The gradient at the current image: the estimator of an attack that sets no other."""

    query_points: int = 1

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, _run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        answer = yield Query(images[:, None])
        return answer.gradients[:, 0], None


AT_IMAGE = AtImage()


def run_estimator(
    estimator: Estimator, images: Tensor, state: Any, run: RunState, answer: Callable[[Query, int], Answer]
) -> tuple[Tensor, Any, Answer]:
    """Run an estimator for one step.

    Args:
        estimator: The estimator.
        images: The current images [n, c, h, w].
        state: The estimator's state before the step.
        run: The state of the run at this step.
        answer: Answers a query, given the query and its number within the step, from 0.

    Returns:
        The gradient [n, c, h, w], the estimator's next state, and the answer to the first query.

    Raises:
        ValueError: The queries have another number of points than the estimator declares, so the cost would be wrong.
    """
    queries = estimator.estimate(images, state, run)
    answers: list[Answer] = []
    points, query = 0, next(queries)
    while True:
        points += query.points.shape[1]
        answers.append(answer(query, len(answers)))
        try:
            query = queries.send(answers[-1])
        except StopIteration as end:
            gradient, state = end.value
            break
    if points != estimator.query_points:
        name = type(estimator).__name__
        raise ValueError(f"{name} queried {points} points of each image, but declares {estimator.query_points}")
    return gradient, state, answers[0]
