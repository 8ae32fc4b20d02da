"""The gradient of a step: an estimator asks about points, the evaluation answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .kinds import Answer, Ask, Estimator

if TYPE_CHECKING:
    from torch import Tensor

    from .run_state import RunState


@dataclass(frozen=True)
class AtImage:
    """The gradient at the current image, which is what an attack without another estimator steps along."""

    asked_points: int = 1

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, _run: RunState) -> Generator[Ask, Answer, tuple[Tensor, None]]:
        answer = yield Ask(images[:, None])
        return answer.gradients[:, 0], None


AT_IMAGE = AtImage()


def estimated(
    estimator: Estimator, images: Tensor, state: Any, run: RunState, answer: Callable[[Ask, int], Answer]
) -> tuple[Tensor, Any, Answer]:
    """Run one step of an estimator; return its gradient [n, c, h, w], its next state and the first answer.

    `answer(ask, index)` answers the ask with the number `index` of this step. Raises ValueError where the estimator
    asks about another number of points than it declares, which would make the declared cost wrong.
    """
    asking = estimator.estimate(images, state, run)
    answers: list[Answer] = []
    asked, ask = 0, next(asking)
    while True:
        asked += ask.points.shape[1]
        answers.append(answer(ask, len(answers)))
        try:
            ask = asking.send(answers[-1])
        except StopIteration as end:
            gradient, state = end.value
            break
    if asked != estimator.asked_points:
        name = type(estimator).__name__
        raise ValueError(f"{name} asked about {asked} points of each image, and declares {estimator.asked_points}")
    return gradient, state, answers[0]
